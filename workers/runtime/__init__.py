"""What every process of the workers needs: Redis and SQL clients, counters, a lock, wake-ups, corrections of Celery."""
