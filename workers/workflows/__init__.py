"""Workflows: files that describe what to do when a contact or company changes, and runs that survive crashes."""
