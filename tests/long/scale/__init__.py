"""A large workspace is filled during many faults, then compared: `python -m tests.long.scale`, or `make scale`."""
