"""
Benchmarks of the product against the design that tutorials teach: one Celery task and one commit per webhook.

Run them with `make bench`; the results are written to `docs/benchmark.md`.
"""

import warnings

# The PostgreSQL wheel warns on import if there is no runtime directory, which only a login session has.
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR ")
