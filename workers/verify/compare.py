"""
Decide whether an object is equal on both sides: what Intercom returned, and everything that the tables hold of it.

This module does no I/O.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from models.rule.merge_content import VOLATILE
from models.rule.observations import LINKS, Observation
from models.rule.state import ListState, Registers
from models.tables.column_types import utc_text
from models.tables.columns import column_values
from models.tables.public_tables import ENTITIES, Entity
from settings.units import MS_PER_SECOND

# Lists that Intercom changes without a notification, so that the tables hold them as of the last fetch only.
DRIFTING_LISTS = frozenset({"company_tags", "company_segments", "contact_segments"})

_MAY_DRIFT = VOLATILE | DRIFTING_LISTS

# The field name of a difference in contact_merges: the view through which applications read that table.
REDIRECTS = "contact_redirects"

# Columns of a data attribute that hold Intercom's value unchanged; a value of another type is stored as null.
_ATTRIBUTE_TEXTS, _ATTRIBUTE_FLAGS = ("label", "description", "data_type"), ("custom", "archived")

ComparisonKind = Literal["equal", "missing", "extra", "differing", "count"]


class MirrorObject(msgspec.Struct, frozen=True):
    """
    Everything that the tables hold of one object.

    Attributes:
        row: its columns by name, times as text and JSON as objects; None without a row.
        links: for the lists that the object owns, by name in LINKS, the ids at the other end.
        merged_into: the contact that contact_redirects leads to; None without a redirect.
        registers: of its guard row.
        dirty: whether its guard row asks for a refetch.
    """

    row: dict[str, Any] | None = None
    links: dict[str, frozenset[str]] = {}
    merged_into: str | None = None
    registers: Registers = Registers()
    dirty: bool = False


class Comparison(NamedTuple):
    """
    The result of comparing one object.

    Attributes:
        kind: "missing" is missing in the tables, "extra" is in the tables only, "count" is a difference in number.
        fields: what differs, sorted: fields by Intercom's name (custom attributes one by one), columns and link tables
            by theirs.
        drifted: what differs and may, because Intercom changes it without a notification.
    """

    kind: ComparisonKind
    fields: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()


def compare(observation: Observation, mirror: MirrorObject) -> Comparison:
    """
    Compare one object.

    Args:
        observation: of a fetch, as `workers.facts.from_fetch.report_from_fetch` returns it.
        mirror: what the tables hold.
    """
    if observation.deleted_at_ms is not None:
        return _compare_deleted(observation, mirror)
    if mirror.row is None:
        return Comparison("missing")
    # A column that does not follow from `_raw` is wrong even if its field may drift: Intercom did not change it.
    wrong = set(_inconsistent_columns(ENTITIES[observation.type], mirror))
    differing = {*_differing_content(observation, mirror.row), *_differing_lists(observation, mirror)}
    if observation.archived is not None and observation.archived.archived != mirror.row["archived"]:
        wrong.add("archived")
    if mirror.merged_into is not None:
        wrong.add(REDIRECTS)
    fields, drifted = wrong | (differing - _MAY_DRIFT), (differing & _MAY_DRIFT) - wrong
    return Comparison("differing" if fields else "equal", tuple(sorted(fields)), tuple(sorted(drifted)))


def _compare_deleted(observation: Observation, mirror: MirrorObject) -> Comparison:
    fields = [kind for kind, ids in mirror.links.items() if ids]
    lacks_redirect = observation.merged is not None and mirror.merged_into != observation.merged.into_id
    if lacks_redirect:
        fields.append(REDIRECTS)
    if mirror.row is not None or any(mirror.links.values()):
        return Comparison("extra", tuple(sorted(fields)))
    return Comparison("missing", (REDIRECTS,)) if lacks_redirect else Comparison("equal")


def _differing_content(observation: Observation, row: dict[str, Any]) -> Iterator[str]:
    """Yield the fields whose value in `_raw` is not Intercom's; a field that Intercom left out cannot be compared."""
    raw, content = row["_raw"], observation.content or {}
    if not isinstance(raw, dict):
        yield "_raw"
        return
    for name, value in content.items():
        stored = raw.get(name)
        if json_equal(stored, value):
            continue
        if name == "custom_attributes" and isinstance(stored, dict) and isinstance(value, dict):
            yield from _differing_keys(name, stored, value)
        else:
            yield name


def _differing_keys(name: str, stored: dict[str, Any], value: dict[str, Any]) -> Iterator[str]:
    for key in stored.keys() | value.keys():
        # A key whose value is null differs from no key, because an application can distinguish them.
        if (key in stored) != (key in value) or not json_equal(stored.get(key), value.get(key)):
            yield f"{name}.{key}"


def _inconsistent_columns(entity: Entity, mirror: MirrorObject) -> Iterator[str]:
    """Yield the columns whose value does not follow from `_raw` and the guard row."""
    assert mirror.row is not None  # noqa: S101 -- the caller checked
    row = mirror.row
    content = row["_raw"] if isinstance(row["_raw"], dict) else {}
    for name, value in _expected_columns(entity, content, mirror.registers).items():
        if not json_equal(row[name], value):
            yield name


def _expected_columns(entity: Entity, content: dict[str, Any], registers: Registers) -> dict[str, Any]:
    expected = dict(zip((field.name for field in entity.fields), column_values(entity.fields, content), strict=True))
    if entity.has_custom_attributes:
        expected |= {
            "archived": registers.is_archived,
            "custom_attributes": content.get("custom_attributes") or {},
        }
    for column, kind in entity.embedded.items():
        expected[column] = registers.lists.get(kind, ListState()).is_complete
    confirmed_at_ms = registers.confirmed_at_ms
    expected["_version"] = None if registers.version is None else registers.version.second
    expected["_verified_at"] = None if confirmed_at_ms is None else utc_text(confirmed_at_ms // MS_PER_SECOND)
    return expected


def _differing_lists(observation: Observation, mirror: MirrorObject) -> Iterator[str]:
    for kind, fact in observation.lists.items():
        stored = mirror.links.get(kind, frozenset())
        if not stored >= set(fact.ids) or (fact.complete and stored != set(fact.ids)):
            yield kind


def json_equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; true differs from 1, but 1 equals 1.0, as in Intercom's numbers."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return bool(one == other)


def owned_lists(object_type: str) -> tuple[str, ...]:
    """Return the names in LINKS of the lists that objects of a type have."""
    return tuple(kind for kind, (owner, _) in LINKS.items() if owner == object_type)


def compare_attribute(item: Mapping[str, Any] | None, row: Mapping[str, Any] | None) -> Comparison:
    """Compare one data attribute, as Intercom lists it and as its row holds it; None means it is absent there."""
    if item is None:
        return Comparison("equal" if row is None else "extra")
    if row is None:
        return Comparison("missing")
    fields = tuple(sorted(_differing_attribute_fields(item, row)))
    return Comparison("differing" if fields else "equal", fields)


def _differing_attribute_fields(item: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    raw = row["_raw"] if isinstance(row["_raw"], dict) else {}
    expected = {
        "id": None if item.get("id") is None else str(item["id"]),
        "name": str(item.get("name") or attribute_name(item)),
        **{name: item.get(name) if isinstance(item.get(name), str) else None for name in _ATTRIBUTE_TEXTS},
        **{name: item.get(name) if isinstance(item.get(name), bool) else None for name in _ATTRIBUTE_FLAGS},
    }
    yield from (name for name, value in expected.items() if not json_equal(row[name], value))
    # Fields that are columns too are not named twice.
    yield from (name for name in item.keys() - expected.keys() if not json_equal(raw.get(name), item[name]))
    if any(not json_equal(raw.get(name), item[name]) for name in item.keys() & expected.keys()):
        yield "_raw"


def attribute_name(item: Mapping[str, Any]) -> str:
    """Return the full name of a data attribute, which is its key within a model."""
    return str(item.get("full_name") or item.get("name"))
