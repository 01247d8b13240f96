"""Refetching: objects that are marked dirty are fetched again by their ids."""
