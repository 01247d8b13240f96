"""A reader of the change feed that starts without any data and applies every change."""

from collections.abc import Iterable, Iterator

from sqlalchemy import bindparam, select

from models.tables.public_tables import changes
from tests.laws.expected_state import OTHER, OWNER
from tests.laws.mirrors import Key, Snapshot, SqlMirror

_CHANGES = select(changes).where(changes.c.workspace_id == bindparam("workspace")).order_by(changes.c.seq)

_KINDS = {(OWNER[kind], OTHER[kind]): kind for kind in OTHER}


class Reader:
    """Stores the ids of rows, the links, and the changes that contradict earlier ones."""

    def __init__(self) -> None:
        self.rows: set[Key] = set()
        self.links: set[tuple[str, str, str]] = set()
        self.errors: list[str] = []

    def read(self, op: str, key: Key, related: Key | None) -> None:
        if op == "created":
            self.rows.add(key)
        elif op in ("deleted", "merged"):
            self.rows.discard(key)
            self.links = {link for link in self.links if key not in _ends(link)}
        elif op in ("linked", "unlinked"):
            self._link(op, key, related)
        elif key not in self.rows:
            self.errors.append(f"{op} {key}, which does not exist")

    def _link(self, op: str, key: Key, related: Key | None) -> None:
        assert related is not None
        link = (_KINDS[key[0], related[0]], key[1], related[1])
        # A list that removes a link does not check whether the company exists, so a link may be removed twice.
        if op == "linked" and link in self.links:
            self.errors.append(f"{op} {link} again")
        (self.links.add if op == "linked" else self.links.discard)(link)


def _ends(link: tuple[str, str, str]) -> Iterable[Key]:
    kind, owner, other = link
    return (OWNER[kind], owner), (OTHER[kind], other)


def feed_mismatches(mirror: SqlMirror, snapshot: Snapshot) -> Iterator[str]:
    """Yield each difference between a reader of the feed and the tables."""
    reader = Reader()
    with mirror.engine.connect() as connection:
        rows = connection.execute(_CHANGES, {"workspace": mirror.workspace_id}).all()
    for row in rows:
        related = None if row.related_id is None else (row.related_type, row.related_id)
        reader.read(row.op, (row.object_type, row.object_id), related)
    yield from reader.errors
    if reader.rows != snapshot.rows.keys():
        yield f"rows {sorted(reader.rows ^ snapshot.rows.keys())}"
    if reader.links != snapshot.links:
        yield f"links {sorted(reader.links - snapshot.links)} too many, {sorted(snapshot.links - reader.links)} missing"
