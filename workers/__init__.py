"""The inbox and all background jobs. This module imports nothing, because a process that receives must not load SQL."""
