"""The command `intercom-mirror`."""
