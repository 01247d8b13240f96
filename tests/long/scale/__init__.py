"""Fill a mirror from a large workspace during many faults, then compare it: `python -m tests.long.scale`, or `make scale`."""
