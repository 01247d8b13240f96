"""From a fetched object to a report: what a GET by id tells."""

from collections.abc import Callable
from typing import Any

import msgspec

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import canonical, times
from intercom_api.wire.canonical import CanonicalObject, MemberList
from intercom_api.wire.envelope import parse_id
from models.rule.decide import archived_by_fetch
from models.rule.observations import FETCH_RANK, ListFact, MergeFact, Observation, Report, Stamp, Version

# A second, in milliseconds.
_SECOND = 1000


class FoundObject(msgspec.Struct, frozen=True):
    """
    Intercom has the object.

    `object`: its REST form, embedded lists complete; `as_of_ms`: Intercom's time less the request's duration.
    `archived`: None if the answer does not say.
    """

    object: dict[str, Any]
    as_of_ms: int
    archived: bool | None = None


class MissingObject(msgspec.Struct, frozen=True):
    """Intercom has no such object (404)."""

    as_of_ms: int


class MergedContact(msgspec.Struct, frozen=True):
    """The contact became part of another one (410)."""

    into_id: str
    as_of_ms: int


FetchResult = FoundObject | MissingObject | MergedContact

# In the place of an object type: a contact, if searches show it. They hide what is archived, and lag.
SEARCHABLE_CONTACT = "listed contact"

# fetch(workspace_id, object_type, object_id): raises TransientError when asking again later may help.
Fetch = Callable[[str, str, str], FetchResult]


def report_from_fetch(
    workspace_id: str, object_type: str, object_id: str, answer: FetchResult, refetched_from: int
) -> Report:
    """
    Read an answer as facts.

    `refetched_from` is the object's dirty counter when the fetch began.

    Raises:
        MalformedNotificationError: the object is not in a form that we can read.
    """
    return Report(workspace_id, "refetch", observations_from_fetch(object_type, object_id, answer, refetched_from))


def observations_from_fetch(
    object_type: str, object_id: str, answer: FetchResult, refetched_from: int | None = None
) -> tuple[Observation, ...]:
    """
    Read an answer as facts about the object, and about contacts that became part of it.

    Raises:
        MalformedNotificationError: the object is not in a form that we can read.
    """
    observed = Observation(object_type, object_id, refetched_from=refetched_from, **_facts(object_type, answer))
    merges = merge_observations(answer.object) if object_type == "contact" and isinstance(answer, FoundObject) else ()
    return observed, *merges


def merge_observations(contact: dict[str, Any]) -> tuple[Observation, ...]:
    """
    Read which contacts became part of this one, where it tells.

    Raises:
        MalformedNotificationError: an entry names no contact.
    """
    history = contact.get("merge_history")
    entries = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    return tuple(_merge(str(contact["id"]), entry) for entry in entries)


def _merge(survivor_id: str, entry: dict[str, Any]) -> Observation:
    source_id = parse_id(entry.get("source_contact_id"), "$.merge_history[].source_contact_id")
    try:
        merged_at = (times.milliseconds(entry.get("merged_at")) or 0) // _SECOND
    except ValueError as error:
        raise MalformedNotificationError("$.merge_history[].merged_at", str(error)) from None
    # merged_at has whole seconds: what it tells may have happened as late as that second's end.
    by_the_end = merged_at * _SECOND + _SECOND - 1
    return Observation("contact", source_id, deleted_at_ms=by_the_end, merged=MergeFact(survivor_id, merged_at))


def _facts(object_type: str, answer: FetchResult) -> dict[str, Any]:
    if isinstance(answer, FoundObject):
        return _found(object_type, answer)
    if isinstance(answer, MergedContact):
        return {"deleted_at_ms": answer.as_of_ms, "merged": MergeFact(answer.into_id, answer.as_of_ms // _SECOND)}
    return {"deleted_at_ms": answer.as_of_ms}


def _found(object_type: str, answer: FoundObject) -> dict[str, Any]:
    form = _FORMS[object_type](answer.object)
    second = answer.as_of_ms // _SECOND if form.updated_at_ms is None else form.updated_at_ms // _SECOND
    facts: dict[str, Any] = {
        "content": form.content,
        "version": Version(second, 1, answer.as_of_ms, 0, ""),
        "lists": _lists(object_type, form, answer.as_of_ms),
        "confirmed_at_ms": answer.as_of_ms,
    }
    if answer.archived is not None:
        facts["archived"] = archived_by_fetch(answer.as_of_ms, archived=answer.archived)
    return facts


def _lists(object_type: str, form: CanonicalObject, as_of_ms: int) -> dict[str, ListFact]:
    stamp = Stamp(as_of_ms // _SECOND, FETCH_RANK, as_of_ms % _SECOND, "")
    listed: dict[str, MemberList | None] = {
        "contact": {"contact_companies": form.companies, "contact_tags": form.tags, "contact_segments": form.segments},
        "company": {"company_tags": form.tags, "company_segments": form.segments},
    }.get(object_type, {})
    return {kind: ListFact(stamp, members.ids, members.complete) for kind, members in listed.items() if members}


def _company(item: dict[str, Any]) -> CanonicalObject:
    return canonical.company(item, "$", rest=True)


_FORMS: dict[str, Callable[[dict[str, Any]], CanonicalObject]] = {
    "contact": lambda item: canonical.contact(item, "$"),
    "company": _company,
    "tag": lambda item: canonical.tag_or_segment(item, "$"),
    "segment": lambda item: canonical.tag_or_segment(item, "$"),
}
