"""Backfills and reconciles: long jobs that read a workspace. Imports nothing, so that wake-ups do not load SQL."""
