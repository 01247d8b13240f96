"""Reading and writing the rows of connections, the change feed, endpoints, deliveries, and action keys."""
