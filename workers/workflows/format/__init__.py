"""The format of workflow files: YAML with positions, checked values, and templates."""
