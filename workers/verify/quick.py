"""Compare the numbers of objects, and select a sample from both sides: the newest, and random ones."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, func, select

from intercom_api.http.pages import MAX_PAGED_COMPANIES
from models.tables.public_tables import LINK_TABLES, changes, companies, contacts
from workers.facts.from_listing import INDEX_LAG_SECONDS
from workers.verify.compare import Comparison
from workers.verify.context import VerifyContext
from workers.verify.mirror_side import iter_ids
from workers.verify.outcome import VerifyOutcome
from workers.verify.recheck import CandidateKey

# Objects selected from the tables, by type, and about as many from Intercom: if one object in fifty is wrong, the
# sample contains one with a probability of 98 %.
SAMPLE_SIZE = 200

# Contacts taken from one place of Intercom's list: a full page would leave few places.
_PER_PLACE = 25
# Repeated counts, if two numbers differ, within `patience`.
_RECOUNTS = 3
# Operations in the change feed that change the number of objects.
_COUNTED_OPERATIONS = ("created", "deleted", "archived", "unarchived", "merged")


def compare_counts(context: VerifyContext, outcome: VerifyOutcome) -> None:
    """
    Compare how many contacts and companies both sides have.

    1. Count on both sides. A difference that recent changes may explain, because Intercom's index lags, is none.
    2. Otherwise count again, three times within `patience`.
    3. If the difference stayed the same, record it; if it changed, the result is uncertain.
    """
    for object_type in ("contact", "company"):
        before: int | None = None
        for number in range(_RECOUNTS + 1):
            there = _count_there(context, object_type)
            here = _count_here(context, outcome.workspace_id, object_type)
            outcome.totals[object_type] = (there, here)
            if abs(there - here) <= _count_recent_changes(context, outcome.workspace_id, object_type):
                break
            steady = before in (None, there - here)
            before = there - here
            if number < _RECOUNTS:
                context.sleep(context.patience / _RECOUNTS)
            elif steady:
                outcome.record(object_type, "", Comparison("count"))
            else:
                outcome.add_reason("The numbers of objects kept changing. Try again when the workspace is less busy.")


def select_sample(context: VerifyContext, outcome: VerifyOutcome) -> tuple[set[CandidateKey], dict[str, set[str]]]:
    """
    Select contacts and companies to compare.

    1. From Intercom: the newest contacts, the oldest, and those created before random moments; the first page of
       companies, and random pages.
    2. From the tables: SAMPLE_SIZE ids of each type, at random.

    Returns:
        The objects to compare, and by type the ids that Intercom's lists contained.
    """
    rng = random.Random(context.seed)  # noqa: S311 -- not a secret
    listed: dict[str, set[str]] = {"contact": set(), "company": set()}
    sample: set[CandidateKey] = set()
    for object_type, ids in (("contact", _select_contacts(context, rng)), ("company", _select_companies(context, rng))):
        for object_id in ids:
            listed[object_type].add(object_id)
            sample.add((object_type, object_id))
        sample |= {(object_type, each) for each in _select_here(context, outcome.workspace_id, object_type, rng)}
    for object_type, _ in sample:
        outcome.compared[object_type] += 1
    return sample, listed


def _count_recent_changes(context: VerifyContext, workspace_id: str, object_type: str) -> int:
    """Return by how much Intercom's count may lag: the number of recent changes that change it."""
    c, since = changes.c, datetime.now(UTC) - timedelta(seconds=INDEX_LAG_SECONDS)
    counted = c.op.in_(_COUNTED_OPERATIONS) & (c.object_type == object_type)
    if object_type == "company":
        counted |= c.op.in_(("linked", "unlinked")) & (c.related_type == "company")
    query = select(func.count()).select_from(changes).where(c.workspace_id == workspace_id, c.at > since, counted)
    with context.reader.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _count_there(context: VerifyContext, object_type: str) -> int:
    client = context.client
    page = client.contacts_page(None, 1) if object_type == "contact" else client.companies_page(1, 1)
    return page.total or 0


def _count_here(context: VerifyContext, workspace_id: str, object_type: str) -> int:
    """Count what Intercom's lists would contain: no archived contacts, no companies without contacts."""
    query: Select[Any]
    if object_type == "contact":
        c = contacts.table.c
        query = select(func.count()).select_from(contacts.table).where(c.workspace_id == workspace_id, ~c.archived)
    else:
        c, link = companies.table.c, LINK_TABLES["contact_companies"].c
        linked = exists().where(link.workspace_id == c.workspace_id, link.company_id == c.id)
        query = select(func.count()).select_from(companies.table).where(c.workspace_id == workspace_id, linked)
    with context.reader.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _select_here(context: VerifyContext, workspace_id: str, object_type: str, rng: random.Random) -> list[str]:
    """Select ids from the tables by reservoir sampling, so that each has the same probability."""
    selected: list[str] = []
    read: set[str] = set()
    for batch in iter_ids(context.reader, workspace_id, object_type):
        for object_id in batch:
            if object_id in read:
                continue
            read.add(object_id)
            if len(selected) < SAMPLE_SIZE:
                selected.append(object_id)
            elif (place := rng.randrange(len(read))) < SAMPLE_SIZE:
                selected[place] = object_id
    return selected


def _select_contacts(context: VerifyContext, rng: random.Random) -> Iterator[str]:
    """Yield the newest contacts, where a missed update would be, the oldest, and some before random moments."""
    newest = _search(context, {"field": "updated_at", "operator": ">", "value": 1}, "updated_at")
    yield from (object_id for object_id, _ in newest)
    oldest = _search(context, {"field": "created_at", "operator": ">", "value": 1}, "created_at", "ascending")
    moments = [created_at for _, created_at in (*oldest, *newest) if created_at]
    if not moments:
        return
    yield from (object_id for object_id, _ in oldest)
    for _ in range(SAMPLE_SIZE // _PER_PLACE - 2):
        moment = rng.randint(min(moments), max(moments) + 1)
        before = _search(context, {"field": "created_at", "operator": "<", "value": moment}, "created_at")
        yield from (object_id for object_id, _ in before)


def _search(
    context: VerifyContext, query: dict[str, object], by: str, order: str = "descending"
) -> list[tuple[str, int]]:
    page = context.client.search_contacts(query, None, _PER_PLACE, {"field": by, "order": order})
    return [(str(item["id"]), int(item.get("created_at") or 0)) for item in page.items if item.get("id")]


def _select_companies(context: VerifyContext, rng: random.Random) -> Iterator[str]:
    first = context.client.companies_page(1, _PER_PLACE)
    last = min(first.total or 0, MAX_PAGED_COMPANIES) // _PER_PLACE
    numbers = rng.sample(range(2, last + 1), min(SAMPLE_SIZE // _PER_PLACE - 1, last - 1)) if last > 1 else []
    for number in (None, *numbers):
        page = first if number is None else context.client.companies_page(number, _PER_PLACE)
        yield from (str(item["id"]) for item in page.items if item.get("id"))
