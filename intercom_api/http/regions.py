"""
Intercom's addresses: one per region for API calls, and one for the page on which a user authorizes the app.

Source:
    Intercom's OpenAPI description 2.16 (servers), "Setting up OAuth".
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

Region = Literal["US", "EU", "AU"]
REGIONS: tuple[Region, ...] = ("US", "EU", "AU")

# Its API forwards a call to the region of the token, so it is right for a token whose region is not known yet.
DEFAULT_REGION: Region = "US"

_API: dict[Region, str] = {
    "US": "https://api.intercom.io",
    "EU": "https://api.eu.intercom.io",
    "AU": "https://api.au.intercom.io",
}
_AUTHORIZE: dict[Region, str] = {
    "US": "https://app.intercom.com/oauth",
    "EU": "https://app.eu.intercom.com/oauth",
    "AU": "https://app.au.intercom.com/oauth",
}


class Hosts(msgspec.Struct, frozen=True):
    """The base addresses by region, without a slash at the end."""

    api: Mapping[Region, str]
    authorize: Mapping[Region, str]

    def api_base(self, region: str | None) -> str:
        """Return the base address of API calls for a region; that of `DEFAULT_REGION` for an unknown one."""
        return next((base for name, base in self.api.items() if name == region), self.api[DEFAULT_REGION])

    def authorize_base(self, region: str | None = None) -> str:
        """Return the address of the page on which a user of a region authorizes the app."""
        return next((base for name, base in self.authorize.items() if name == region), self.authorize[DEFAULT_REGION])


def resolve_hosts(api_url: str, emulator_port: int | None) -> Hosts:
    """
    Return the addresses to use.

    Args:
        api_url: INTERCOM_API_URL; if not empty, the base address of API calls in every region.
        emulator_port: the port of the local emulator that stands in for Intercom; None for Intercom itself.
    """
    api, authorize = _API, _AUTHORIZE
    if emulator_port is not None:
        api = {region: f"http://127.0.0.1:{emulator_port}/{region.lower()}" for region in REGIONS}
        authorize = {region: f"{base}/oauth" for region, base in api.items()}
    if api_url:
        api = dict.fromkeys(REGIONS, api_url.rstrip("/"))
    return Hosts(api=api, authorize=authorize)
