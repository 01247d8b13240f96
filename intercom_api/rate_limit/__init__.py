"""The rate limit of each workspace, shared by all processes."""
