"""
Measures this product against the design that tutorials teach: one Celery task and one commit per webhook.

Run it with `make bench`; the outcome is written to `docs/benchmark.md`.
"""
