"""The settings, read from the environment. No other package reads the environment."""

from settings.environment import Settings, SettingsError, get_settings

__all__ = ["Settings", "SettingsError", "get_settings"]
