"""One workspace of the mirror that a test fills by hand."""

from collections.abc import Sequence
from datetime import datetime
from itertools import permutations
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text

from models.apply import apply
from models.db.engine import transaction
from models.tables.internal_tables import contact_merges, object_states
from models.tables.public_tables import changes
from tests.laws.bodies import START, Json
from tests.laws.mirrors import NOW, SqlMirror
from workers.facts.from_fetch import FetchResult, report_from_fetch


def orders(*notifications: Json | str) -> pytest.MarkDecorator:
    """Run a test with these notifications in every order; its id, such as "201", is the order."""
    places = list(permutations(range(len(notifications))))
    ids = ["".join(map(str, order)) for order in places]
    return pytest.mark.parametrize(
        "notifications", [tuple(notifications[place] for place in order) for order in places], ids=ids
    )


class Case:
    """A workspace of the mirror: `deliver` and `apply_fetch` change it, the other methods read its tables."""

    def __init__(self, mirror: SqlMirror) -> None:
        self.mirror = mirror

    def deliver(self, *notifications: Json, at_once: bool = True, crashes: bool = False) -> list[str]:
        """Deliver notifications, in one batch or one by one."""
        bodies = [msgspec.json.encode(note | {"app_id": self.mirror.workspace_id}) for note in notifications]
        batches: Sequence[list[bytes]] = [bodies] if at_once else [[body] for body in bodies]
        return [outcome for batch in batches for outcome in self.mirror.deliver(batch, crashes=crashes)]

    def apply_fetch(
        self, result: FetchResult, id_: str = "c", object_type: str = "contact", refetched_from: int | None = None
    ) -> None:
        """Apply a fetch result. The fetch started at the dirty counter `refetched_from`, by default the current one."""
        start = self.counters(id_, object_type)[0] if refetched_from is None else refetched_from
        fetched = report_from_fetch(self.mirror.workspace_id, object_type, id_, result, start)
        with transaction(self.mirror.engine) as connection:
            apply(connection, [fetched], NOW)

    def row(self, id_: str = "c", object_type: str = "contact") -> dict[str, Any] | None:
        row = self.mirror.snapshot().rows.get((object_type, id_))
        return None if row is None else row.columns

    def name(self, id_: str = "c", object_type: str = "contact") -> str | None:
        row = self.row(id_, object_type)
        assert row is not None
        name: str | None = row["name"]
        return name

    def links(self, kind: str = "contact_companies", owner: str = "c") -> set[str]:
        return self.mirror.snapshot().members(kind, owner)

    def dirty(self) -> set[str]:
        return {id_ for _, id_ in self.mirror.snapshot().dirty}

    def counters(self, id_: str = "c", object_type: str = "contact") -> tuple[int, int]:
        c = object_states.c
        query = select(c.dirty, c.clean).where(
            c.workspace_id == self.mirror.workspace_id, c.object_type == object_type, c.object_id == id_
        )
        with self.mirror.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return (0, 0) if row is None else (row.dirty, row.clean)

    def change_rows(self, id_: str = "c") -> list[str]:
        """Return the change rows of an object: each with its op and the related id."""
        c = changes.c
        query = select(c.op, c.related_id).where(c.workspace_id == self.mirror.workspace_id, c.object_id == id_)
        with self.mirror.engine.connect() as connection:
            rows = connection.execute(query.order_by(c.seq)).all()
        return [row.op if row.related_id is None else f"{row.op} {row.related_id}" for row in rows]

    def merged_at(self, id_: str = "c") -> float:
        """Return when a contact was merged, in seconds since the beginning of the histories."""
        c = contact_merges.c
        query = select(c.merged_at).where(c.workspace_id == self.mirror.workspace_id, c.from_id == id_)
        with self.mirror.engine.connect() as connection:
            at: datetime = connection.execute(query).scalar_one()
        return at.timestamp() - START

    def active_contacts(self) -> set[str]:
        query = text("SELECT id FROM active_contacts WHERE workspace_id = :workspace")
        with self.mirror.engine.connect() as connection:
            return {row.id for row in connection.execute(query, {"workspace": self.mirror.workspace_id})}
