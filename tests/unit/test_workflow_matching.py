"""Which changes start a workflow, and which do not."""

from typing import Any

import pytest

from workers.workflows.format.workflow import EVENTS, LIVE_SOURCES, SOURCES, Trigger
from workers.workflows.triggers.matching import TriggerChange, starts
from workers.workflows.triggers.own_changes import Effect, classify, objects_in

CONNECTED = 1_000
RECORD = {
    "id": "c1",
    "role": "user",
    "created_at": 2_000,
    "updated_at": 3_000,
    "email": None,
    "seats": 1,
    "custom_attributes": {"plan": "gold", "a.b": "dotted"},
    "location": {"country": "Ireland"},
}


def change(**values: Any) -> TriggerChange:
    made: dict[str, Any] = {
        "seq": 1,
        "workspace_id": "w",
        "object_type": "contact",
        "object_id": "c1",
        "op": "created",
        "changed_fields": (),
        "source": "webhook",
    }
    return TriggerChange(**(made | values))


@pytest.mark.parametrize("source", SOURCES)
def test_only_live_sources_start_a_run(source: str) -> None:
    """Backfills, reconciles and refetches start none, unless the file names them."""
    assert starts(Trigger("contact.created"), change(source=source), RECORD, CONNECTED) == (source in LIVE_SOURCES)
    assert starts(Trigger("contact.created", sources=SOURCES), change(source=source), RECORD, CONNECTED)


@pytest.mark.parametrize("created_at", [None, 0, 999, 1_000, True, "2020-01-01"])
@pytest.mark.parametrize("source", SOURCES)
def test_an_old_contact_is_never_new_whatever_the_source(created_at: Any, source: str) -> None:
    """Including the first webhook about it, and a contact of unknown age."""
    trigger = Trigger("contact.created", sources=SOURCES)
    assert not starts(trigger, change(source=source), RECORD | {"created_at": created_at}, CONNECTED)


def test_the_first_webhook_about_an_old_contact_is_not_an_update_either() -> None:
    """In the feed its operation is created."""
    assert not starts(Trigger("contact.updated"), change(), RECORD | {"created_at": 1}, CONNECTED)


def test_nothing_starts_in_a_workspace_that_is_not_connected() -> None:
    """Its steps would have no token."""
    assert not starts(Trigger("contact.created"), change(), RECORD, None)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("op", ["created", "updated", "deleted", "archived", "unarchived", "merged", "linked"])
@pytest.mark.parametrize("object_type", ["contact", "company", "tag"])
def test_a_trigger_matches_only_its_own_event(event: str, op: str, object_type: str) -> None:
    """Four events, and no other change."""
    expected = event == f"{object_type}.{op}"
    assert starts(Trigger(event), change(op=op, object_type=object_type), RECORD, CONNECTED) == expected


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"role": "user"}, True),
        ({"role": "lead"}, False),
        ({"role": ["lead", "user"]}, True),
        ({"role": {"not": "user"}}, False),
        ({"role": {"not": ["lead"]}}, True),
        ({"email": None}, True),
        ({"email": {"not": None}}, False),
        ({"custom_attributes.plan": "gold", "role": "user"}, True),
        ({"custom_attributes.a.b": "dotted"}, True),
        ({"custom_attributes.none.such": None}, True),
        ({"location.country": ["Ireland", "France"]}, True),
        ({"seats": 1}, True),
        ({"seats": True}, False),
    ],
)
def test_where_compares_fields_of_the_record(where: dict[str, Any], fits: bool) -> None:  # noqa: FBT001
    """Values, lists of values, and not."""
    assert starts(Trigger("contact.created", where=where), change(), RECORD, CONNECTED) == fits


def test_changed_wants_one_of_its_fields() -> None:
    """An update of something else starts nothing."""
    trigger = Trigger("contact.updated", changed=("email", "phone"))
    assert starts(trigger, change(op="updated", changed_fields=("name", "phone")), RECORD, CONNECTED)
    assert not starts(trigger, change(op="updated", changed_fields=("name",)), RECORD, CONNECTED)


def effect(**values: Any) -> Effect:
    made: dict[str, Any] = {
        "workflow": "f",
        "workspace_id": "w",
        "object_type": "contact",
        "object_id": "c1",
        "version": 3_000,
        "is_message": False,
        "started_at": 100.0,
        "ended_at": 101.0,
    }
    return Effect(**(made | values))


@pytest.mark.parametrize(
    ("observed", "at", "effects", "verdict"),
    [
        (change(op="updated"), 100.5, [], "foreign"),
        (change(op="updated"), 105.0, [effect()], "own"),
        (change(op="updated"), 105.0, [effect(version=2_999)], "foreign"),
        (change(op="updated", source="write_through"), 100.9, [effect(version=None)], "own"),
        (change(op="updated", source="write_through"), 500.0, [effect(version=None)], "foreign"),
        (change(op="updated"), 90.0, [effect()], "foreign"),
        (change(op="updated", object_id="c2"), 100.5, [effect()], "foreign"),
        (change(op="updated", workspace_id="v"), 100.5, [effect()], "foreign"),
        (change(op="created"), 100.5, [effect(object_id=None, ended_at=None)], "open"),
        (change(op="created"), 100.5, [effect(object_id=None, object_type=None, ended_at=None)], "open"),
        (change(op="created"), 90.0, [effect(object_id=None, ended_at=None)], "foreign"),
        (change(op="created"), 100.5, [effect(object_id=None)], "foreign"),
        (change(op="updated"), 100.5, [effect(ended_at=None), effect()], "own"),
        (
            change(op="updated", changed_fields=("last_contacted_at", "updated_at")),
            160.0,
            [effect(is_message=True, version=None)],
            "own",
        ),
        (
            change(op="updated", changed_fields=("name", "updated_at")),
            160.0,
            [effect(is_message=True, version=None)],
            "foreign",
        ),
    ],
)
def test_own_changes_are_distinguished_from_those_of_others(
    observed: TriggerChange, at: float, effects: list[Effect], verdict: str
) -> None:
    """By the object, the time, and the version in the response."""
    assert classify(observed, at, RECORD, effects) == verdict


def test_the_objects_in_a_response_are_found() -> None:
    """In the output of an action, and in the body of a request step's result."""
    contact = {"type": "contact", "id": "c1", "updated_at": 5}
    assert objects_in({"contact": contact}) == [("contact", "c1", 5)]
    assert objects_in({"status": 200, "body": {"type": "company", "id": "k"}}) == [("company", "k", None)]
    assert objects_in({"message": {"type": "admin_message", "id": "1"}}) == []
    assert objects_in(None) == []
