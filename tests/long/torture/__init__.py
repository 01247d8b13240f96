"""The laws through real processes: many notifications, many faults, and the books compared at the end."""
