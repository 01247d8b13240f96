"""A local Intercom: a pretend workspace that lives, tells of it in signed notifications, and knows the truth."""
