"""One workspace, told by hand: what named cases are written with."""

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


def orders(*notes: Json | str) -> pytest.MarkDecorator:
    """Run a test with these notifications in every order; an id such as "201" says which comes when."""
    places = list(permutations(range(len(notes))))
    ids = ["".join(map(str, order)) for order in places]
    return pytest.mark.parametrize("notes", [tuple(notes[place] for place in order) for order in places], ids=ids)


class Case:
    """A workspace of the mirror; `deliver` and `answer` bring news, the rest looks at the tables."""

    def __init__(self, mirror: SqlMirror) -> None:
        self.mirror = mirror

    def deliver(self, *notes: Json, at_once: bool = True, crashes: bool = False) -> list[str]:
        """Deliver notifications, in one batch or one by one."""
        bodies = [msgspec.json.encode(note | {"app_id": self.mirror.workspace_id}) for note in notes]
        batches: Sequence[list[bytes]] = [bodies] if at_once else [[body] for body in bodies]
        return [outcome for batch in batches for outcome in self.mirror.deliver(batch, crashes=crashes)]

    def apply_fetch(
        self, answer: FetchResult, id_: str = "c", object_type: str = "contact", refetched_from: int | None = None
    ) -> None:
        """Apply what a GET found; it began at the dirty counter `refetched_from`, by default at the present one."""
        start = self.counters(id_, object_type)[0] if refetched_from is None else refetched_from
        told = report_from_fetch(self.mirror.workspace_id, object_type, id_, answer, start)
        with transaction(self.mirror.engine) as connection:
            apply(connection, [told], NOW)

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
        """The feed's lines about an object: what happened, and to what else."""
        c = changes.c
        query = select(c.op, c.related_id).where(c.workspace_id == self.mirror.workspace_id, c.object_id == id_)
        with self.mirror.engine.connect() as connection:
            rows = connection.execute(query.order_by(c.seq)).all()
        return [row.op if row.related_id is None else f"{row.op} {row.related_id}" for row in rows]

    def merged_at(self, id_: str = "c") -> float:
        """Return when a contact was merged, in seconds of the story."""
        c = contact_merges.c
        query = select(c.merged_at).where(c.workspace_id == self.mirror.workspace_id, c.from_id == id_)
        with self.mirror.engine.connect() as connection:
            at: datetime = connection.execute(query).scalar_one()
        return at.timestamp() - START

    def active_contacts(self) -> set[str]:
        query = text("SELECT id FROM active_contacts WHERE workspace_id = :workspace")
        with self.mirror.engine.connect() as connection:
            return {row.id for row in connection.execute(query, {"workspace": self.mirror.workspace_id})}
