"""The HTTP API of the application: actions and calls to Intercom, the change feed, connections and endpoints."""
