"""A reader of the feed: what it would hold that started from nothing and followed every line."""

from collections.abc import Iterable, Iterator

from sqlalchemy import bindparam, select

from models.tables.public_tables import changes
from tests.laws.expected_state import OTHER, OWNER
from tests.laws.mirrors import Key, Snapshot, SqlMirror

_LINES = select(changes).where(changes.c.workspace_id == bindparam("workspace")).order_by(changes.c.seq)

_KINDS = {(OWNER[kind], OTHER[kind]): kind for kind in OTHER}


class Reader:
    """Holds the ids of rows, the links, and what makes no sense in the lines."""

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
            self.errors.append(f"{op} {key}, which is not there")

    def _link(self, op: str, key: Key, related: Key | None) -> None:
        assert related is not None
        link = (_KINDS[key[0], related[0]], key[1], related[1])
        # A list that drops a link does not ask whether the company is there, so a link may be taken away twice.
        if op == "linked" and link in self.links:
            self.errors.append(f"{op} {link} once more")
        (self.links.add if op == "linked" else self.links.discard)(link)


def _ends(link: tuple[str, str, str]) -> Iterable[Key]:
    kind, owner, other = link
    return (OWNER[kind], owner), (OTHER[kind], other)


def feed_mismatches(mirror: SqlMirror, snapshot: Snapshot) -> Iterator[str]:
    """Name whatever a reader of the feed would hold otherwise than the tables do."""
    reader = Reader()
    with mirror.engine.connect() as connection:
        lines = connection.execute(_LINES, {"workspace": mirror.workspace_id}).all()
    for line in lines:
        related = None if line.related_id is None else (line.related_type, line.related_id)
        reader.read(line.op, (line.object_type, line.object_id), related)
    yield from reader.errors
    if reader.rows != snapshot.rows.keys():
        yield f"rows {sorted(reader.rows ^ snapshot.rows.keys())}"
    if reader.links != snapshot.links:
        yield f"links {sorted(reader.links - snapshot.links)} too many, {sorted(snapshot.links - reader.links)} missing"
