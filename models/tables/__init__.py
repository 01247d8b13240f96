"""The tables and views, and how canonical objects become column values."""
