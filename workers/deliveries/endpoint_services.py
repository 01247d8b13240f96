"""
Endpoints of outgoing webhooks: add, list, rotate, enable and remove them, and list and replay their deliveries.

    EndpointError: a request cannot be fulfilled; its text explains what to do.
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

# Bytes of a secret; the Standard Webhooks specification requires 24 to 64.
_SECRET_BYTES = 32
# How long the old secret still signs after a rotation, in addition to the new one.
ROTATION_PERIOD = timedelta(days=1)
# Endpoints of one user: each costs a row for every change.
MAX_ENDPOINTS = 20
# Values of one filter, and characters of each.
_MAX_FILTER_VALUES, _MAX_VALUE_LENGTH = 50, 50

# Encrypted together with the secret and the endpoint's id, so that a secret cannot be used as a workspace's token.
_VAULT_LABEL = "endpoint"


class EndpointError(Exception):
    """A request cannot be fulfilled; the text explains what to do."""


class NewEndpoint(NamedTuple):
    """A new endpoint. An empty filter lets everything pass."""

    url: str
    types: Collection[str] = ()
    ops: Collection[str] = ()
    sources: Collection[str] = ()


def add(engine: Engine, new: NewEndpoint, user_id: str | None) -> tuple[EndpointRow, str]:
    """
    Add an endpoint, which gets the changes from now on.

    Args:
        engine: to write with.
        new: the endpoint.
        user_id: the owner; None for the operator, whose endpoints get the changes of all workspaces.

    Returns:
        The row, and its secret, which cannot be read later.

    Raises:
        EndpointError: the URL or a filter is not valid, or the user has too many endpoints.
    """
    _check(new)
    endpoint_id, secret, now = f"ep_{secrets.token_hex(8)}", _new_secret(), datetime.now(UTC)
    encrypted = _encrypt(endpoint_id, secret)
    types, ops, sources = (sorted(set(each)) for each in (new.types, new.ops, new.sources))
    with transaction(engine) as connection:
        if endpoint_rows.count(connection, user_id) >= MAX_ENDPOINTS:
            raise EndpointError(f"There are already {MAX_ENDPOINTS} endpoints. Remove one first.")
        row = EndpointRow(
            id=endpoint_id,
            user_id=user_id,
            url=new.url,
            secret=encrypted,
            old_secret=None,
            old_until=None,
            types=types,
            ops=ops,
            sources=sources,
            status=endpoint_rows.ENABLED,
            reason=None,
            seq=change_feed.last_seq(connection),
            failures=0,
            failing_since=None,
            rest_until=None,
            created_at=now,
        )
        endpoint_rows.save(connection, row)
    return row, secret


def rotate(engine: Engine, endpoint_id: str) -> str | None:
    """
    Give an endpoint a new secret and return it; None if the endpoint does not exist.

    For a day both secrets sign.

    Raises:
        EndpointError: TOKEN_ENCRYPTION_KEYS is blank.
    """
    secret = _new_secret()
    encrypted = _encrypt(endpoint_id, secret)
    with transaction(engine) as connection:
        found = endpoint_rows.find(connection, endpoint_id, lock=True)
        if found is None:
            return None
        until = datetime.now(UTC) + ROTATION_PERIOD
        endpoint_rows.update_columns(
            connection, endpoint_id, secret=encrypted, old_secret=found.secret, old_until=until
        )
    return secret


def enable(engine: Engine, endpoint_id: str) -> bool:
    """Enable an endpoint, which continues where it stopped; False if it does not exist."""
    with transaction(engine) as connection:
        return endpoint_rows.enable(connection, endpoint_id, datetime.now(UTC))


def remove(engine: Engine, endpoint_id: str) -> bool:
    """Remove an endpoint and its deliveries; False if it does not exist."""
    with transaction(engine) as connection:
        return endpoint_rows.delete_endpoint(connection, endpoint_id)


def replay(engine: Engine, endpoint_id: str, delivery_id: int) -> bool:
    """Send a delivery again under the same webhook-id; False if it does not exist."""
    with transaction(engine) as connection:
        return delivery_rows.replay(connection, endpoint_id, delivery_id, datetime.now(UTC))


def endpoints(reader: Engine, user_id: str | None = None) -> list[EndpointRow]:
    """Return the endpoints of a user, oldest first; None: all endpoints."""
    with reader.connect() as connection:
        return endpoint_rows.list_all(connection, user_id)


def find(reader: Engine, endpoint_id: str) -> EndpointRow | None:
    """Return an endpoint; None if it does not exist."""
    with reader.connect() as connection:
        return endpoint_rows.find(connection, endpoint_id)


def deliveries(
    reader: Engine, endpoint_id: str, state: str | None, before: int | None, limit: int
) -> list[DeliveryRow]:
    """Return the deliveries of an endpoint, newest first; see `models.queries.delivery_rows.list_page`."""
    with reader.connect() as connection:
        return delivery_rows.list_page(connection, endpoint_id, state, before, limit)


def signing_secrets(endpoint: EndpointRow, now: datetime) -> list[str]:
    """
    Return the secrets that sign messages to an endpoint, newest first.

    Raises:
        VaultError: one cannot be decrypted.
    """
    encrypted = [endpoint.secret]
    if endpoint.old_secret is not None and endpoint.old_until is not None and endpoint.old_until > now:
        encrypted.append(endpoint.old_secret)
    return [vault.decrypt(_VAULT_LABEL, endpoint.id, each) for each in encrypted]


def _check(new: NewEndpoint) -> None:
    try:
        parse_target(new.url, allow_private=get_settings().allow_private_targets)
    except ValueError as error:
        raise EndpointError(str(error)) from None
    for name, given, known in (("types", new.types, TYPES), ("ops", new.ops, OPS)):
        if not set(given) <= set(known):
            raise EndpointError(f"The filter `{name}` accepts only {', '.join(known)}.")
    sources = new.sources
    if len(sources) > _MAX_FILTER_VALUES or not all(
        0 < len(each) <= _MAX_VALUE_LENGTH and each.isprintable() for each in sources
    ):
        raise EndpointError("The filter `sources` accepts names such as webhook, backfill or reconcile.")


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def _encrypt(endpoint_id: str, secret: str) -> bytes:
    try:
        return vault.encrypt(_VAULT_LABEL, endpoint_id, secret)
    except VaultError:
        raise EndpointError("TOKEN_ENCRYPTION_KEYS is blank, so no secret can be stored. Set it.") from None
