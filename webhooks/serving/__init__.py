"""The machinery of the event loop: bodies, threads, and the bridge between RSGI and WSGI."""
