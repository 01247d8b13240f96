"""The torture run: real processes, many notifications, injected faults, and a comparison of the tables at the end."""
