"""Contact search: the query grammar, what it means, and the pages of what it finds."""
