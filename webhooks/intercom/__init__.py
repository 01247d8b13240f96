"""The addresses that Intercom posts to. Nothing is imported here: receiving must never load SQL."""
