"""What was promised about repeated actions: one row for each idempotency key, with the answer that it got."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from models.tables.internal_tables import action_keys

# Nothing was said to Intercom yet; it may have been; it did it; it refused; nobody knows.
RESERVED, SENDING, DONE, FAILED, UNKNOWN = "reserved", "sending", "done", "failed", "unknown"

c = action_keys.c


class ActionKey(NamedTuple):
    """Whose key it is."""

    workspace_id: str
    owner: str
    key: str


class ActionKeyRow(NamedTuple):
    """What is kept of a key; times in UTC."""

    action: str
    digest: str
    state: str
    began_at: datetime
    lease_until: datetime
    outcome: dict[str, Any] | None


def reserve(connection: Connection, place: ActionKey, action: str, digest: str, now: datetime, until: datetime) -> bool:
    """Reserve a key, whose lease ends at `until`; False if it was taken before."""
    values = {"action": action, "digest": digest, "state": RESERVED, "began_at": now, "lease_until": until}
    try:
        with connection.begin_nested():
            connection.execute(insert(action_keys).values(**place._asdict(), **values))
    except IntegrityError:
        return False
    return True


def read(connection: Connection, place: ActionKey) -> ActionKeyRow | None:
    """Return what is kept of a key; held until the commit."""
    query = select(c.action, c.digest, c.state, c.began_at, c.lease_until, c.outcome)
    row = connection.execute(_at(query, place).with_for_update()).one_or_none()
    return None if row is None else ActionKeyRow(*row)


def extend_lease(connection: Connection, place: ActionKey, until: datetime) -> None:
    """Go on with a key whose process is gone."""
    connection.execute(_at(update(action_keys), place).values(lease_until=until))


def set_state(
    connection: Connection, place: ActionKey, state: str, now: datetime, outcome: dict[str, Any] | None
) -> None:
    """Keep how far an action is; it ends its lease unless it is `sending`."""
    ended = {} if state == SENDING else {"ended_at": now, "lease_until": now, "outcome": outcome}
    connection.execute(_at(update(action_keys), place).values(state=state, **ended))


def delete(connection: Connection, place: ActionKey) -> None:
    """Forget a key of which Intercom has certainly heard nothing, so that it can be used again."""
    connection.execute(_at(action_keys.delete(), place))


def _at(statement: Any, place: ActionKey) -> Any:
    return statement.where(c.workspace_id == place.workspace_id, c.owner == place.owner, c.key == place.key)
