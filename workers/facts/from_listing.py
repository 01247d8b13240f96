"""
From the entries of lists and searches to reports.

They contain the same facts as a GET by id, but may lag, so they count as older than they seem.
"""

from collections.abc import Callable, Iterable
from typing import Any

import structlog
from msgspec.structs import replace

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import canonical
from intercom_api.wire.canonical import CanonicalObject, MemberList
from intercom_api.wire.envelope import parse_id
from models.rule.decide import archived_by_fetch
from models.rule.observations import ListFact, Observation, PairFact, Report, Source
from settings.units import MS_PER_SECOND
from workers.facts.fetch_versions import fetched_stamp, fetched_version

log = structlog.get_logger()

# Seconds by which Intercom's lists and searches may lag; its documentation speaks of up to a few minutes. Their entries
# count as that much older, so that they never overwrite what a notification reported meanwhile.
INDEX_LAG_SECONDS = 300

# read(item, as_of_ms); raises MalformedNotificationError.
ItemReader = Callable[[dict[str, Any], int], Observation]


def lagged_as_of(as_of_ms: int) -> int:
    """Return the time, in milliseconds, up to which a list or a search with this as_of surely contains everything."""
    return as_of_ms - INDEX_LAG_SECONDS * MS_PER_SECOND


def read_contact(item: dict[str, Any], as_of_ms: int) -> Observation:
    """Read a contact of a list or a search."""
    contact = canonical.contact(item, "$")
    lists = {"contact_companies": contact.companies, "contact_tags": contact.tags}
    # Lists and searches hide archived contacts.
    archived = archived_by_fetch(lagged_as_of(as_of_ms), archived=False)
    return replace(_observation("contact", contact, as_of_ms, lists), archived=archived)


def read_company(item: dict[str, Any], as_of_ms: int) -> Observation:
    """Read a company of a list or a scroll."""
    company = canonical.company(item, "$", rest=True)
    return _observation(
        "company", company, as_of_ms, {"company_tags": company.tags, "company_segments": company.segments}
    )


def named_object_reader(object_type: str) -> ItemReader:
    """Return a reader of tags or segments. Their lists are short and do not lag."""

    def read(item: dict[str, Any], as_of_ms: int) -> Observation:
        form = canonical.tag_or_segment(item, "$")
        return Observation(object_type, form.id, content=form.content, version=fetched_version(form, as_of_ms))

    return read


def membership_reader(segment_id: str, *, present: bool = True) -> ItemReader:
    """Return a reader of contacts as members of a segment, or as no members."""

    def read(item: dict[str, Any], as_of_ms: int) -> Observation:
        contact_id = parse_id(item.get("id"), "$.id")
        pair = PairFact(fetched_stamp(lagged_as_of(as_of_ms)), segment_id, present)
        return Observation("contact", contact_id, pairs={"contact_segments": pair}, from_listing=True)

    return read


def reports_from_page(
    workspace_id: str, source: Source, items: Iterable[dict[str, Any]], as_of_ms: int, read: ItemReader
) -> list[Report]:
    """Read the entries of a page. An entry that cannot be read is logged and left out."""
    reports = []
    for item in items:
        try:
            reports.append(Report(workspace_id, source, (read(item, as_of_ms),)))
        except MalformedNotificationError as error:
            log.warning("a listed object cannot be read", workspace=workspace_id, path=error.path)
    return reports


def object_ids(reports: Iterable[Report]) -> tuple[str, ...]:
    """Return the ids of the objects of a page's reports."""
    return tuple(report.observations[0].id for report in reports)


def _observation(
    object_type: str, form: CanonicalObject, as_of_ms: int, lists: dict[str, MemberList | None]
) -> Observation:
    lagged_ms = lagged_as_of(as_of_ms)
    stamp = fetched_stamp(lagged_ms)
    return Observation(
        object_type,
        form.id,
        content=form.content,
        version=fetched_version(form, lagged_ms),
        lists={kind: ListFact(stamp, members.ids, members.complete) for kind, members in lists.items() if members},
        from_listing=True,
    )
