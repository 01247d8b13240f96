"""
Where Intercom is: one address per region for calls, and one for the page on which a user allows the app.

Source:
    Intercom's OpenAPI description 2.16 (servers), "Setting up OAuth".
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

Region = Literal["US", "EU", "AU"]
REGIONS: tuple[Region, ...] = ("US", "EU", "AU")

# Passes a call on to the token's own region, so it is right for a token that we know nothing of yet.
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
    """The addresses by region, without a slash at the end."""

    api: Mapping[Region, str]
    authorize: Mapping[Region, str]

    def api_base(self, region: str | None) -> str:
        """Return where a workspace of this region is asked; one whose region is unknown is asked where all may ask."""
        return next((base for name, base in self.api.items() if name == region), self.api[DEFAULT_REGION])

    def authorize_base(self, region: str | None = None) -> str:
        """Return the page on which a user of this region allows the app."""
        return next((base for name, base in self.authorize.items() if name == region), self.authorize[DEFAULT_REGION])


def resolve_hosts(api_url: str, emulator_port: int | None) -> Hosts:
    """
    Return the addresses to use.

    Args:
        api_url: INTERCOM_API_URL; if not empty, the base of every region's calls.
        emulator_port: where the built-in emulator plays Intercom on this machine; None for Intercom itself.
    """
    api, authorize = _API, _AUTHORIZE
    if emulator_port is not None:
        api = {region: f"http://127.0.0.1:{emulator_port}/{region.lower()}" for region in REGIONS}
        authorize = {region: f"{base}/oauth" for region, base in api.items()}
    if api_url:
        api = dict.fromkeys(REGIONS, api_url.rstrip("/"))
    return Hosts(api=api, authorize=authorize)
