"""The workflow engine: it executes the steps of runs, advances the runs, and keeps their history."""
