"""The inbox, and everything that runs behind it. Nothing is imported here: receiving must never load SQL."""
