"""
Measures this product against the design that tutorials teach: one Celery task and one commit per webhook.

Run it with `make bench`; the outcome is written to `docs/benchmark.md`.
"""

import warnings

# The PostgreSQL wheel asks for a runtime directory on import; without a login session it gets another one.
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR ")
