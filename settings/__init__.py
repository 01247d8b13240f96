"""Everything that the environment decides. No other package reads the environment."""

from settings.environment import Settings, SettingsError, get_settings

__all__ = ["Settings", "SettingsError", "get_settings"]
