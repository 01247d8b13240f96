"""The tables and views, and how the columns are filled from canonical objects."""
