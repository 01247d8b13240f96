"""What equal means: one object as Intercom tells of it, against everything that the tables hold of it. No I/O."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from models.rule.content import VOLATILE
from models.rule.observations import LINKS, Observation
from models.rule.state import ListState, Registers
from models.tables.column_types import utc_text
from models.tables.columns import column_values
from models.tables.public_tables import ENTITIES, Entity

# Lists that Intercom changes without telling, so that they are true as of the last fetch only.
DRIFTING_LISTS = frozenset({"company_tags", "company_segments", "contact_segments"})

_EXCEPTED = VOLATILE | DRIFTING_LISTS

# What a difference in contact_merges is called: the view that the application reads it through.
REDIRECTS = "contact_redirects"

# A second, in milliseconds.
_SECOND = 1000

Kind = Literal["equal", "missing", "extra", "differing", "count"]


class MirrorObject(msgspec.Struct, frozen=True):
    """
    Everything that the tables hold of one object.

    `row`: its columns by name, None if there is none; times as text, JSON as objects. `links`: by name in LINKS the ids
    at the other end, for the lists that this object owns. `into`: where contact_redirects leads from it. `registers`
    and `dirty` are of its guard row.
    """

    row: dict[str, Any] | None = None
    links: dict[str, frozenset[str]] = {}
    into: str | None = None
    registers: Registers = Registers()
    dirty: bool = False


class Comparison(NamedTuple):
    """
    What one comparison found.

    `fields`: what differs, sorted: fields by Intercom's name (custom attributes one by one), columns and link tables by
    theirs. `drifted`: what differs and may, because Intercom changes it without telling.
    """

    kind: Kind
    fields: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()


def compare(seen: Observation, held: MirrorObject) -> Comparison:
    """
    Compare one object.

    Args:
        seen: what a fetch told of it, as `workers.facts.from_fetch.report_from_fetch` reads it.
        held: what the tables hold.
    """
    if seen.deleted_at_ms is not None:
        return _gone(seen, held)
    if held.row is None:
        return Comparison("missing")
    # A column that does not follow from `_raw` is wrong whatever its name: it was not Intercom that changed it.
    wrong = set(_columns(ENTITIES[seen.type], held))
    told = {*_content(seen, held.row), *_lists(seen, held)}
    if seen.archived is not None and seen.archived.archived != held.row["archived"]:
        wrong.add("archived")
    if held.into is not None:
        wrong.add(REDIRECTS)
    fields, drifted = wrong | (told - _EXCEPTED), (told & _EXCEPTED) - wrong
    return Comparison("differing" if fields else "equal", tuple(sorted(fields)), tuple(sorted(drifted)))


def _gone(seen: Observation, held: MirrorObject) -> Comparison:
    fields = [kind for kind, ids in held.links.items() if ids]
    lost = seen.merged is not None and held.into != seen.merged.into_id
    if lost:
        fields.append(REDIRECTS)
    if held.row is not None or any(held.links.values()):
        return Comparison("extra", tuple(sorted(fields)))
    return Comparison("missing", (REDIRECTS,)) if lost else Comparison("equal")


def _content(seen: Observation, row: dict[str, Any]) -> Iterator[str]:
    """Yield the fields whose value in `_raw` is not Intercom's; a field that Intercom left out cannot be compared."""
    raw, content = row["_raw"], seen.content or {}
    if not isinstance(raw, dict):
        yield "_raw"
        return
    for name, value in content.items():
        kept = raw.get(name)
        if json_equal(kept, value):
            continue
        if name == "custom_attributes" and isinstance(kept, dict) and isinstance(value, dict):
            yield from _inside(name, kept, value)
        else:
            yield name


def _inside(name: str, kept: dict[str, Any], told: dict[str, Any]) -> Iterator[str]:
    for key in kept.keys() | told.keys():
        # A key whose value is null is not the same as none: the application can tell them apart.
        if (key in kept) != (key in told) or not json_equal(kept.get(key), told.get(key)):
            yield f"{name}.{key}"


def _columns(entity: Entity, held: MirrorObject) -> Iterator[str]:
    """Yield the columns that do not follow from `_raw` and the guard row."""
    assert held.row is not None  # noqa: S101 -- the caller looked
    row = held.row
    content = row["_raw"] if isinstance(row["_raw"], dict) else {}
    for name, value in _followed(entity, content, held.registers).items():
        if not json_equal(row[name], value):
            yield name


def _followed(entity: Entity, content: dict[str, Any], registers: Registers) -> dict[str, Any]:
    followed = dict(zip((field.name for field in entity.fields), column_values(entity.fields, content), strict=True))
    if entity.has_custom_attributes:
        followed |= {
            "archived": registers.is_archived,
            "custom_attributes": content.get("custom_attributes") or {},
        }
    for column, kind in entity.embedded.items():
        followed[column] = registers.lists.get(kind, ListState()).is_complete
    followed["_version"] = None if registers.version is None else registers.version.second
    followed["_verified_at"] = (
        None if registers.confirmed_at_ms is None else utc_text(registers.confirmed_at_ms // _SECOND)
    )
    return followed


def _lists(seen: Observation, held: MirrorObject) -> Iterator[str]:
    for kind, told in seen.lists.items():
        kept = held.links.get(kind, frozenset())
        if not kept >= set(told.ids) or (told.complete and kept != set(told.ids)):
            yield kind


def json_equal(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same; true is not 1, though 1 is 1.0, as in Intercom's numbers."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return bool(one == other)


def owned(object_type: str) -> tuple[str, ...]:
    """Return the names in LINKS of the lists that objects of a type have."""
    return tuple(kind for kind, (owner, _) in LINKS.items() if owner == object_type)
