"""Where Intercom is, as the settings say."""

from intercom_api.http.regions import Hosts, hosts_of
from settings import get_settings


def hosts() -> Hosts:
    """Return the addresses to use: Intercom's, or the emulator's with development credentials."""
    settings = get_settings()
    return hosts_of(settings.api_url, settings.local_emulator_port)
