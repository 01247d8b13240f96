"""`python -m cli`: the command `intercom-mirror`, for use where the console script is not on the path."""

import sys
from pathlib import Path

# Python puts the current directory at the front of `sys.path`, where a `settings.py` or `models.py` of another project
# would replace ours. It stays if it is where this package was found: in a checkout that is not installed.
if __name__ == "__main__" and not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]

from cli.main import main

if __name__ == "__main__":
    main()
