"""Everything that answers HTTP: Intercom's notifications, and the pages that say how the mirror is doing."""
