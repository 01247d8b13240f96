"""Fill a mirror from a large workspace during many faults, and compare it: `python -m tests.long.scale`, `make scale`."""
