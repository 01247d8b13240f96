"""The event loop's machinery: request bodies, thread pools, and the bridge between RSGI and WSGI."""
