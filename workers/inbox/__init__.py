"""The inbox: a Redis stream of notifications that are acknowledged to Intercom but not yet in SQL."""
