"""What the application asks for over HTTP: acting on Intercom, and following what changed."""
