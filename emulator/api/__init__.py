"""An emulation of Intercom's REST API over the workspaces of this process."""
