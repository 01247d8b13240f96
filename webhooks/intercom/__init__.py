"""The routes that Intercom posts to. This module imports nothing: receiving must never load SQL."""
