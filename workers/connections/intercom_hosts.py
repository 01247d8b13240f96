"""Intercom's addresses, as configured."""

from intercom_api.http.regions import Hosts, resolve_hosts
from settings import get_settings


def hosts() -> Hosts:
    """Return the addresses to use: Intercom's, or the emulator's with development credentials."""
    settings = get_settings()
    return resolve_hosts(settings.api_url, settings.local_emulator_port)
