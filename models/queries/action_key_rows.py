"""Idempotency keys of actions: one row for each key, with the response of its action."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from models.tables.internal_tables import action_keys

# The states of an action: no request was sent; a request may have been sent; Intercom did it; Intercom rejected it; the
# outcome is unknown.
RESERVED, SENDING, DONE, FAILED, UNKNOWN = "reserved", "sending", "done", "failed", "unknown"

c = action_keys.c


class ActionKey(NamedTuple):
    """A key within a workspace and its owner: "user:ID", "operator" or "workflow"."""

    workspace_id: str
    owner: str
    key: str


class ActionKeyRow(NamedTuple):
    """The rest of a key's row; see `models.tables.internal_tables.action_keys`. Times are in UTC."""

    action: str
    digest: str
    state: str
    began_at: datetime
    lease_until: datetime
    outcome: dict[str, Any] | None


def reserve(connection: Connection, key: ActionKey, action: str, digest: str, now: datetime, until: datetime) -> bool:
    """Reserve a key with a lease until `until`; return False if it is reserved already."""
    values = {"action": action, "digest": digest, "state": RESERVED, "began_at": now, "lease_until": until}
    try:
        with connection.begin_nested():
            connection.execute(insert(action_keys).values(**key._asdict(), **values))
    except IntegrityError:
        return False
    return True


def read(connection: Connection, key: ActionKey) -> ActionKeyRow | None:
    """Return the row of a key and lock it until the commit."""
    query = select(c.action, c.digest, c.state, c.began_at, c.lease_until, c.outcome)
    row = connection.execute(_at(query, key).with_for_update()).one_or_none()
    return None if row is None else ActionKeyRow(*row)


def extend_lease(connection: Connection, key: ActionKey, until: datetime) -> None:
    """Extend the lease of a key, to take it over from a process that has stopped."""
    connection.execute(_at(update(action_keys), key).values(lease_until=until))


def set_state(
    connection: Connection, key: ActionKey, state: str, now: datetime, outcome: dict[str, Any] | None
) -> None:
    """Set the state of an action. Any state but `sending` ends its lease."""
    ended = {} if state == SENDING else {"ended_at": now, "lease_until": now, "outcome": outcome}
    connection.execute(_at(update(action_keys), key).values(state=state, **ended))


def delete(connection: Connection, key: ActionKey) -> None:
    """Delete a key whose action certainly sent nothing to Intercom, so that the key can be used again."""
    connection.execute(_at(action_keys.delete(), key))


def _at(statement: Any, key: ActionKey) -> Any:
    return statement.where(c.workspace_id == key.workspace_id, c.owner == key.owner, c.key == key.key)
