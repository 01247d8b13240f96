"""From the entries of lists and searches to reports: like what a GET by id tells, but not as sure of its time."""

from collections.abc import Callable, Iterable
from typing import Any

import structlog
from msgspec.structs import replace

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import canonical
from intercom_api.wire.canonical import CanonicalObject, MemberList
from intercom_api.wire.envelope import parse_id
from models.rule.decide import archived_by_fetch
from models.rule.observations import FETCH_RANK, ListFact, Observation, PairFact, Report, Source, Stamp, Version

log = structlog.get_logger()

# Seconds by which Intercom's lists and searches may be behind: it speaks of up to a few minutes. What they say counts
# as said that much earlier, so that it never overwrites what a notification told meanwhile.
INDEX_LAG_SECONDS = 300

# A second, in milliseconds.
_SECOND = 1000


def lagged_as_of(as_of_ms: int) -> int:
    """Return the moment, in milliseconds, up to which an answer that may lag has certainly seen everything."""
    return as_of_ms - INDEX_LAG_SECONDS * _SECOND


def read_contact(item: dict[str, Any], as_of_ms: int) -> Observation:
    """Read a contact of a list. Raises MalformedNotificationError."""
    form = canonical.contact(item, "$")
    listed = _listed("contact", form, as_of_ms, {"contact_companies": form.companies, "contact_tags": form.tags})
    # Lists and searches hide what is archived.
    return replace(listed, archived=archived_by_fetch(lagged_as_of(as_of_ms), archived=False))


def read_company(item: dict[str, Any], as_of_ms: int) -> Observation:
    """Read a company of a list. Raises MalformedNotificationError."""
    form = canonical.company(item, "$", rest=True)
    return _listed("company", form, as_of_ms, {"company_tags": form.tags, "company_segments": form.segments})


def named_object_reader(object_type: str) -> Callable[[dict[str, Any], int], Observation]:
    """Return how to read a tag or a segment of a list; these lists are short and do not lag."""

    def read(item: dict[str, Any], as_of_ms: int) -> Observation:
        form = canonical.tag_or_segment(item, "$")
        second = (as_of_ms if form.updated_at_ms is None else form.updated_at_ms) // _SECOND
        return Observation(object_type, form.id, content=form.content, version=Version(second, 1, as_of_ms, 0, ""))

    return read


def membership_reader(segment_id: str, *, present: bool = True) -> Callable[[dict[str, Any], int], Observation]:
    """Return how to read a contact as one that is in a segment, or is not."""

    def read(item: dict[str, Any], as_of_ms: int) -> Observation:
        contact_id = parse_id(item.get("id"), "$.id")
        pair = PairFact(_stamp(lagged_as_of(as_of_ms)), segment_id, present)
        return Observation("contact", contact_id, pairs={"contact_segments": pair}, from_listing=True)

    return read


ItemReader = Callable[[dict[str, Any], int], Observation]


def reports_from_page(
    workspace_id: str, source: Source, items: Iterable[dict[str, Any]], as_of_ms: int, read: ItemReader
) -> list[Report]:
    """Read a page; what cannot be read is left out and told of in the log, as its neighbours can."""
    found = []
    for item in items:
        try:
            found.append(Report(workspace_id, source, (read(item, as_of_ms),)))
        except MalformedNotificationError as error:
            log.warning("a listed object cannot be read", workspace=workspace_id, path=error.path)
    return found


def object_ids(of: Iterable[Report]) -> tuple[str, ...]:
    """Return the ids of the objects that reports of a page speak of."""
    return tuple(report.observations[0].id for report in of)


def _listed(
    object_type: str, form: CanonicalObject, as_of_ms: int, listed: dict[str, MemberList | None]
) -> Observation:
    told = lagged_as_of(as_of_ms)
    second = (told if form.updated_at_ms is None else form.updated_at_ms) // _SECOND
    lists = {kind: ListFact(_stamp(told), members.ids, members.complete) for kind, members in listed.items() if members}
    version = Version(second, 1, told, 0, "")
    return Observation(object_type, form.id, content=form.content, version=version, lists=lists, from_listing=True)


def _stamp(told_ms: int) -> Stamp:
    return Stamp(told_ms // _SECOND, FETCH_RANK, told_ms % _SECOND, "")
