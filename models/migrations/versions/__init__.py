"""One module for each step in the history of the tables."""
