"""Read and write the rows of connections, the change feed, endpoints, deliveries and action keys."""
