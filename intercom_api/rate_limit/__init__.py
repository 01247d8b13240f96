"""The rate limit of each workspace, which all processes share."""
