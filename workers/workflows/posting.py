"""Telling the application something, through the one place that may call an address that a person wrote."""

from collections.abc import Mapping

from workers.workflows.performing import Answer


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post; see `workers.deliveries.outgoing`."""
    raise NotImplementedError(url, body, headers)
