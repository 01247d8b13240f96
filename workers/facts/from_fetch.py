"""From a fetched object to a report: which facts a GET by id contains."""

from collections.abc import Callable
from typing import Any

import msgspec

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import canonical, times
from intercom_api.wire.canonical import CanonicalObject, MemberList
from intercom_api.wire.envelope import parse_id
from models.rule.decide import archived_by_fetch
from models.rule.observations import ListFact, MergeFact, Observation, Report
from settings.units import MS_PER_SECOND
from workers.facts.fetch_versions import end_of_second_ms, fetched_stamp, fetched_version


class FoundObject(msgspec.Struct, frozen=True):
    """
    Intercom has the object.

    Args:
        object: its REST form, with complete embedded lists.
        as_of_ms: Intercom's time less the duration of the request.
        archived: None if the response does not say.
    """

    object: dict[str, Any]
    as_of_ms: int
    archived: bool | None = None


class MissingObject(msgspec.Struct, frozen=True):
    """Intercom has no such object (404)."""

    as_of_ms: int


class MergedContact(msgspec.Struct, frozen=True):
    """The contact was merged into another one (410)."""

    into_id: str
    as_of_ms: int


FetchResult = FoundObject | MissingObject | MergedContact

# In the place of an object type: fetch a contact with a search. Searches hide archived contacts, and lag.
SEARCHABLE_CONTACT = "listed contact"

# fetch(workspace_id, object_type, object_id); raises TransientError when a later attempt may succeed.
Fetch = Callable[[str, str, str], FetchResult]


def report_from_fetch(
    workspace_id: str, object_type: str, object_id: str, result: FetchResult, refetched_from: int
) -> Report:
    """
    Read a fetched object as a report.

    Args:
        workspace_id: where it was fetched.
        object_type: what was fetched.
        object_id: what was fetched.
        result: what Intercom returned.
        refetched_from: the object's dirty counter when the fetch began.

    Raises:
        MalformedNotificationError: the object has an unknown form.
    """
    return Report(workspace_id, "refetch", observations_from_fetch(object_type, object_id, result, refetched_from))


def observations_from_fetch(
    object_type: str, object_id: str, result: FetchResult, refetched_from: int | None = None
) -> tuple[Observation, ...]:
    """
    Read a fetched object as observations: of the object itself, and of contacts that were merged into it.

    Raises:
        MalformedNotificationError: the object has an unknown form.
    """
    observation = Observation(object_type, object_id, refetched_from=refetched_from, **_facts(object_type, result))
    if object_type == "contact" and isinstance(result, FoundObject):
        return observation, *_merged_contacts(result.object)
    return (observation,)


def _merged_contacts(survivor: dict[str, Any]) -> tuple[Observation, ...]:
    history = survivor.get("merge_history")
    entries = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    return tuple(_merged_contact(str(survivor["id"]), entry) for entry in entries)


def _merged_contact(survivor_id: str, entry: dict[str, Any]) -> Observation:
    source_id = parse_id(entry.get("source_contact_id"), "$.merge_history[].source_contact_id")
    try:
        merged_at = (times.milliseconds(entry.get("merged_at")) or 0) // MS_PER_SECOND
    except ValueError as error:
        raise MalformedNotificationError("$.merge_history[].merged_at", str(error)) from None
    merged = MergeFact(survivor_id, merged_at)
    return Observation("contact", source_id, deleted_at_ms=end_of_second_ms(merged_at), merged=merged)


def _facts(object_type: str, result: FetchResult) -> dict[str, Any]:
    if isinstance(result, MissingObject):
        return {"deleted_at_ms": result.as_of_ms}
    if isinstance(result, MergedContact):
        merged = MergeFact(result.into_id, result.as_of_ms // MS_PER_SECOND)
        return {"deleted_at_ms": result.as_of_ms, "merged": merged}
    form = _CANONICAL_FORMS[object_type](result.object)
    facts: dict[str, Any] = {
        "content": form.content,
        "version": fetched_version(form, result.as_of_ms),
        "lists": _list_facts(object_type, form, result.as_of_ms),
        "confirmed_at_ms": result.as_of_ms,
    }
    if result.archived is not None:
        facts["archived"] = archived_by_fetch(result.as_of_ms, archived=result.archived)
    return facts


def _list_facts(object_type: str, form: CanonicalObject, as_of_ms: int) -> dict[str, ListFact]:
    stamp = fetched_stamp(as_of_ms)
    lists: dict[str, MemberList | None] = {
        "contact": {"contact_companies": form.companies, "contact_tags": form.tags, "contact_segments": form.segments},
        "company": {"company_tags": form.tags, "company_segments": form.segments},
    }.get(object_type, {})
    return {kind: ListFact(stamp, members.ids, members.complete) for kind, members in lists.items() if members}


_CANONICAL_FORMS: dict[str, Callable[[dict[str, Any]], CanonicalObject]] = {
    "contact": lambda item: canonical.contact(item, "$"),
    "company": lambda item: canonical.company(item, "$", rest=True),
    "tag": lambda item: canonical.tag_or_segment(item, "$"),
    "segment": lambda item: canonical.tag_or_segment(item, "$"),
}
