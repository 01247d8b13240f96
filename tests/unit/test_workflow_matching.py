"""What starts a workflow, and above all what does not."""

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


def line(**values: Any) -> TriggerChange:
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
def test_only_what_happens_now_starts_a_run(source: str) -> None:
    """A backfill, a reconcile and what they have fetched again start none, unless the file says so."""
    assert starts(Trigger("contact.created"), line(source=source), RECORD, CONNECTED) == (source in LIVE_SOURCES)
    assert starts(Trigger("contact.created", sources=SOURCES), line(source=source), RECORD, CONNECTED)


@pytest.mark.parametrize("created_at", [None, 0, 999, 1_000, True, "2020-01-01"])
@pytest.mark.parametrize("source", SOURCES)
def test_an_old_contact_is_never_created_however_it_is_told_of(created_at: Any, source: str) -> None:
    """Not by a webhook that is the first about it either, and not by one of unknown age."""
    trigger = Trigger("contact.created", sources=SOURCES)
    assert not starts(trigger, line(source=source), RECORD | {"created_at": created_at}, CONNECTED)


def test_the_first_webhook_about_an_old_contact_is_no_update_either() -> None:
    """The feed calls it created."""
    assert not starts(Trigger("contact.updated"), line(), RECORD | {"created_at": 1}, CONNECTED)


def test_nothing_starts_where_nobody_is_connected() -> None:
    """Its steps could not speak for anybody."""
    assert not starts(Trigger("contact.created"), line(), RECORD, None)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("op", ["created", "updated", "deleted", "archived", "unarchived", "merged", "linked"])
@pytest.mark.parametrize("object_type", ["contact", "company", "tag"])
def test_a_trigger_hears_its_own_event_only(event: str, op: str, object_type: str) -> None:
    """Four events, and no other line of the feed."""
    expected = event == f"{object_type}.{op}"
    assert starts(Trigger(event), line(op=op, object_type=object_type), RECORD, CONNECTED) == expected


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
    assert starts(Trigger("contact.created", where=where), line(), RECORD, CONNECTED) == fits


def test_changed_wants_one_of_its_fields() -> None:
    """An update of something else starts nothing."""
    trigger = Trigger("contact.updated", changed=("email", "phone"))
    assert starts(trigger, line(op="updated", changed_fields=("name", "phone")), RECORD, CONNECTED)
    assert not starts(trigger, line(op="updated", changed_fields=("name",)), RECORD, CONNECTED)


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
    ("told", "at", "effects", "verdict"),
    [
        (line(op="updated"), 100.5, [], "foreign"),
        (line(op="updated"), 105.0, [effect()], "own"),
        (line(op="updated"), 105.0, [effect(version=2_999)], "foreign"),
        (line(op="updated", source="write_through"), 100.9, [effect(version=None)], "own"),
        (line(op="updated", source="write_through"), 500.0, [effect(version=None)], "foreign"),
        (line(op="updated"), 90.0, [effect()], "foreign"),
        (line(op="updated", object_id="c2"), 100.5, [effect()], "foreign"),
        (line(op="updated", workspace_id="v"), 100.5, [effect()], "foreign"),
        (line(op="created"), 100.5, [effect(object_id=None, ended_at=None)], "open"),
        (line(op="created"), 100.5, [effect(object_id=None, object_type=None, ended_at=None)], "open"),
        (line(op="created"), 90.0, [effect(object_id=None, ended_at=None)], "foreign"),
        (line(op="created"), 100.5, [effect(object_id=None)], "foreign"),
        (line(op="updated"), 100.5, [effect(ended_at=None), effect()], "own"),
        (
            line(op="updated", changed_fields=("last_contacted_at", "updated_at")),
            160.0,
            [effect(is_message=True, version=None)],
            "own",
        ),
        (
            line(op="updated", changed_fields=("name", "updated_at")),
            160.0,
            [effect(is_message=True, version=None)],
            "foreign",
        ),
    ],
)
def test_what_a_workflow_did_itself_is_told_from_what_others_did(
    told: TriggerChange, at: float, effects: list[Effect], verdict: str
) -> None:
    """By the object, the moment, and the version that the answer told."""
    assert classify(told, at, RECORD, effects) == verdict


def test_the_objects_of_an_answer_are_found() -> None:
    """Those that an action gives, and those in the body of a request's answer."""
    contact = {"type": "contact", "id": "c1", "updated_at": 5}
    assert objects_in({"contact": contact}) == [("contact", "c1", 5)]
    assert objects_in({"status": 200, "body": {"type": "company", "id": "k"}}) == [("company", "k", None)]
    assert objects_in({"message": {"type": "admin_message", "id": "1"}}) == []
    assert objects_in(None) == []
