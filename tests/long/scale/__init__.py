"""Fill a mirror from a large workspace during many faults, then compare: `python -m tests.long.scale`, `make scale`."""
