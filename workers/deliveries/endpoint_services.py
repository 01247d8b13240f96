"""
Endpoints: who is told of changes, at which address, with which secret.

    EndpointError: what was wished for cannot be done; its text says what to do.
"""

import base64
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine

from models.db.engine import transaction
from models.queries import change_feed, delivery_rows, endpoint_rows
from models.queries.delivery_rows import DeliveryRow
from models.queries.endpoint_rows import EndpointRow
from settings import get_settings
from workers.connections import vault
from workers.connections.vault import VaultError
from workers.deliveries.address_guard import parse_target

TYPES = ("contact", "company", "tag", "segment")
OPS = ("created", "updated", "deleted", "archived", "unarchived", "merged", "linked", "unlinked")

# Bytes of a secret; the specification wants 24 to 64.
_SECRET_BYTES = 32
# How long the old secret signs beside the new one.
ROTATES_FOR = timedelta(days=1)
# Endpoints of one user: each costs a row for every change.
MOST_ENDPOINTS = 20
# Values of one filter, and characters of each.
_LONGEST_FILTER, _LONGEST_WORD = 50, 50

# What a secret is sealed to beside the endpoint's id, so that it cannot be taken for a workspace's token.
_SEALED_FOR = "endpoint"


class EndpointError(Exception):
    """See above."""


class NewEndpoint(NamedTuple):
    """A new endpoint: empty filters let everything pass."""

    url: str
    types: Collection[str] = ()
    ops: Collection[str] = ()
    sources: Collection[str] = ()


def add(engine: Engine, wish: NewEndpoint, user_id: str | None) -> tuple[EndpointRow, str]:
    """
    Add an endpoint, which hears of what changes from now on.

    Returns:
        The row, and its secret, which is told this once.

    Raises:
        EndpointError: see its class.
    """
    _check(wish)
    endpoint_id, secret, now = f"ep_{secrets.token_hex(8)}", _new_secret(), datetime.now(UTC)
    sealed = _seal(endpoint_id, secret)
    types, ops, sources = (sorted(set(each)) for each in (wish.types, wish.ops, wish.sources))
    with transaction(engine) as connection:
        if endpoint_rows.count(connection, user_id) >= MOST_ENDPOINTS:
            raise EndpointError(f"There are {MOST_ENDPOINTS} endpoints already. Remove one first.")
        row = EndpointRow(
            endpoint_id,
            user_id,
            wish.url,
            sealed,
            None,
            None,
            types,
            ops,
            sources,
            endpoint_rows.ENABLED,
            None,
            change_feed.last_seq(connection),
            0,
            None,
            None,
            now,
        )
        endpoint_rows.save(connection, row)
    return row, secret


def rotate(engine: Engine, endpoint_id: str) -> str | None:
    """
    Give an endpoint a new secret and return it; None if there is no such endpoint.

    For a day both secrets sign.

    Raises:
        EndpointError: see its class.
    """
    secret = _new_secret()
    sealed = _seal(endpoint_id, secret)
    with transaction(engine) as connection:
        found = endpoint_rows.find(connection, endpoint_id, lock=True)
        if found is None:
            return None
        until = datetime.now(UTC) + ROTATES_FOR
        endpoint_rows.update_columns(connection, endpoint_id, secret=sealed, old_secret=found.secret, old_until=until)
    return secret


def enable(engine: Engine, endpoint_id: str) -> bool:
    """Tell an endpoint again what it is to be told, from where it stopped; False if there is none such."""
    with transaction(engine) as connection:
        return endpoint_rows.enable(connection, endpoint_id, datetime.now(UTC))


def remove(engine: Engine, endpoint_id: str) -> bool:
    """Remove an endpoint with its deliveries; False if there is none such."""
    with transaction(engine) as connection:
        return endpoint_rows.delete_endpoint(connection, endpoint_id)


def replay(engine: Engine, endpoint_id: str, delivery_id: int) -> bool:
    """Deliver once more, under the same webhook-id; False if there is no such delivery."""
    with transaction(engine) as connection:
        return delivery_rows.replay(connection, endpoint_id, delivery_id, datetime.now(UTC))


def endpoints(reader: Engine, user_id: str | None = None) -> list[EndpointRow]:
    """Return a user's endpoints, or with None all."""
    with reader.connect() as connection:
        return endpoint_rows.list_all(connection, user_id)


def find(reader: Engine, endpoint_id: str) -> EndpointRow | None:
    """Return an endpoint."""
    with reader.connect() as connection:
        return endpoint_rows.find(connection, endpoint_id)


def deliveries(
    reader: Engine, endpoint_id: str, state: str | None, before: int | None, limit: int
) -> list[DeliveryRow]:
    """Return an endpoint's deliveries, the newest first."""
    with reader.connect() as connection:
        return delivery_rows.list_page(connection, endpoint_id, state, before, limit)


def secrets_of(endpoint: EndpointRow, now: datetime) -> list[str]:
    """
    Return the secrets that sign, the newest first.

    Raises:
        VaultError: one cannot be opened.
    """
    sealed = [endpoint.secret]
    if endpoint.old_secret is not None and endpoint.old_until is not None and endpoint.old_until > now:
        sealed.append(endpoint.old_secret)
    return [vault.unseal(_SEALED_FOR, endpoint.id, each) for each in sealed]


def _check(wish: NewEndpoint) -> None:
    try:
        parse_target(wish.url, allow_private=get_settings().allow_private_targets)
    except ValueError as error:
        raise EndpointError(str(error)) from None
    for name, given, known in (("types", wish.types, TYPES), ("ops", wish.ops, OPS)):
        if not set(given) <= set(known):
            raise EndpointError(f"The filter {name} takes {', '.join(known)}.")
    words = wish.sources
    if len(words) > _LONGEST_FILTER or not all(0 < len(each) <= _LONGEST_WORD and each.isprintable() for each in words):
        raise EndpointError("The filter sources takes names such as webhook, backfill or reconcile.")


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def _seal(endpoint_id: str, secret: str) -> bytes:
    try:
        return vault.seal(_SEALED_FOR, endpoint_id, secret)
    except VaultError:
        raise EndpointError("TOKEN_ENCRYPTION_KEYS is blank, so no secret can be kept. Set it.") from None
