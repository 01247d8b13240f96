"""A large workspace filled through every kind of trouble, then compared: `python -m tests.scale`, or `make scale`."""
