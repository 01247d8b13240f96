"""Triggers: which changes start which workflows."""
