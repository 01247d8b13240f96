"""The workflow engine: it advances the runs, executes their steps, and keeps their history."""
