"""Both sides of one object: observations of it, and what the tables hold if they agree."""

from typing import Any

from hypothesis import strategies as st

from models.rule.decide import decide
from models.rule.observations import Observation
from models.rule.state import ListState, ObjectState, Registers
from models.tables.column_types import utc_text
from models.tables.columns import column_values
from models.tables.public_tables import ENTITIES
from workers.facts.from_fetch import FetchResult, FoundObject, report_from_fetch
from workers.verify.compare import MirrorObject

# Intercom's time of every fetch in these tests, in milliseconds.
FETCHED_AT_MS = 1_700_001_000_000

TEXTS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
TIMES = st.none() | st.integers(0, 1_700_000_000)
FLAGS = st.none() | st.booleans()
VALUES = TEXTS | st.booleans() | st.integers(-5, 5)
IDS = st.lists(st.sampled_from([f"m{number}" for number in range(12)]), unique=True)


def _list_of(ids: list[str]) -> dict[str, Any]:
    return {"type": "list", "data": [{"id": each} for each in ids], "total_count": len(ids), "has_more": False}


CONTACTS = st.fixed_dictionaries(
    {
        "id": st.just("c1"),
        "type": st.just("contact"),
        "updated_at": st.integers(1, 1_700_000_000),
        "email": TEXTS,
        "external_id": TEXTS,
        "owner_id": TEXTS,
        "has_hard_bounced": FLAGS,
        "last_seen_at": TIMES,
        "location": st.fixed_dictionaries({"country": TEXTS, "city": TEXTS}),
        "avatar": st.none() | st.fixed_dictionaries({"image_url": TEXTS}),
        "custom_attributes": st.dictionaries(st.sampled_from(["plan", "seats", "beta"]), VALUES),
        "companies": IDS.map(_list_of),
        "tags": IDS.map(_list_of),
    }
)
COMPANIES = st.fixed_dictionaries(
    {
        "id": st.just("c1"),
        "type": st.just("company"),
        "updated_at": st.integers(1, 1_700_000_000),
        "company_id": TEXTS,
        "name": TEXTS,
        "size": st.none() | st.integers(0, 9),
        "user_count": st.integers(0, 9),
        "session_count": st.integers(0, 9),
        "plan": st.none() | st.fixed_dictionaries({"id": TEXTS, "name": TEXTS}),
        "custom_attributes": st.dictionaries(st.sampled_from(["tier", "arr"]), VALUES),
    }
)
ITEMS = CONTACTS | COMPANIES


def observe_result(object_type: str, answer: FetchResult) -> Observation:
    """Return the observation of a fetch, as a verification reads it."""
    return report_from_fetch("ws", object_type, "c1", answer, 0).observations[0]


def observe(item: dict[str, Any], *, archived: bool | None = False) -> Observation:
    """Return the observation of a fetch that found the object."""
    return observe_result(item["type"], FoundObject(item, FETCHED_AT_MS, archived))


def mirror_of(observation: Observation) -> MirrorObject:
    """Return what the tables hold after an observation was applied."""
    state = decide(ObjectState(), observation).state
    links: dict[str, set[str]] = {}
    for kind, other_id in state.links:
        links.setdefault(kind, set()).add(other_id)
    return MirrorObject(
        _row(observation.type, state), {kind: frozenset(ids) for kind, ids in links.items()}, None, state.registers
    )


def _row(object_type: str, state: ObjectState) -> dict[str, Any]:
    entity, registers = ENTITIES[object_type], state.registers
    assert state.content is not None
    row: dict[str, Any] = {"workspace_id": "ws", "id": "c1"}
    row |= dict(zip((field.name for field in entity.fields), column_values(entity.fields, state.content), strict=True))
    row |= {"archived": registers.is_archived, "custom_attributes": state.content.get("custom_attributes") or {}}
    row |= {column: _complete(registers, kind) for column, kind in entity.embedded.items()}
    assert registers.version is not None
    assert registers.confirmed_at_ms is not None
    return row | {
        "_raw": dict(state.content),
        "_source": "refetch",
        "_version": registers.version.second,
        "_synced_at": utc_text(0),
        "_verified_at": utc_text(registers.confirmed_at_ms // 1000),
    }


def _complete(registers: Registers, kind: str) -> bool:
    return registers.lists.get(kind, ListState()).is_complete
