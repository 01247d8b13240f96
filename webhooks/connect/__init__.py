"""The pages on which a user connects an Intercom workspace. Nothing is imported here: receiving must never load SQL."""
