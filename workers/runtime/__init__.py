"""What every worker process needs: Redis and SQL clients, counters, locks, and adjustments to Celery."""
