"""Long runs with their own command line: `make torture` and `make scale`."""
