"""Everything said to or by Intercom: signatures, notifications, topics, the forms of its objects, errors."""
