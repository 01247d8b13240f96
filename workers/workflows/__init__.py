"""Workflows: files that say what is to happen when a contact or company changes, and runs that survive crashes."""
