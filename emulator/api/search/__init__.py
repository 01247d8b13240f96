"""Contact search: the index, the query language, and the execution of queries."""
