"""The format of workflow files: parsing, checking, and templates."""
