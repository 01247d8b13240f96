"""A local Intercom: a pretend workspace that lives, tells what happened in signed notifications, and knows the truth."""
