"""The pages on which a user connects an Intercom workspace. Imports nothing: receiving must not load SQL."""
