"""Long jobs: filling a mirror (backfill), healing it (reconcile). Imports nothing: a ring must not load SQL."""
