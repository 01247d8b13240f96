"""The quick way: counts, the newest, and a random sample from both sides."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, func, select

from models.tables.public_tables import LINK_TABLES, changes, companies, contacts
from workers.verify.compare import Comparison
from workers.verify.context import VerifyContext
from workers.verify.id_set import Seen
from workers.verify.intercom_side import INDEX_LAG_SECONDS
from workers.verify.mirror_side import ids_of
from workers.verify.outcome import VerifyOutcome
from workers.verify.recheck import Key

# Objects of ours that are drawn, by type, and about as many of Intercom's: a wrong one in fifty is found with a
# probability of 98 %.
SIZE = 200

# Contacts taken from each place of Intercom's list: one full page would put all eggs into few baskets.
_FROM_ONE_PLACE = 25
# Looks at two counts that are not the same, within the time that a difference must stay the same.
_LOOKS = 3
# Operations in the feed that change a count.
_MOVING = ("created", "deleted", "archived", "unarchived", "merged")


def sample(tools: VerifyContext, outcome: VerifyOutcome) -> tuple[set[Key], dict[str, Seen]]:
    """Return what to look at, and by type what Intercom's lists have shown of it."""
    rng = random.Random(tools.seed)  # noqa: S311 -- no secret
    shown = {"contact": Seen(), "company": Seen()}
    chosen: set[Key] = set()
    for object_type, theirs in (("contact", _their_contacts(tools, rng)), ("company", _their_companies(tools, rng))):
        for object_id in theirs:
            shown[object_type].add(object_id)
            chosen.add((object_type, object_id))
        chosen |= {(object_type, each) for each in _ours(tools, outcome.workspace_id, object_type, rng)}
    for object_type, _ in chosen:
        outcome.compared[object_type] += 1
    return chosen, shown


def counts(tools: VerifyContext, outcome: VerifyOutcome) -> None:
    """Compare how many there are; a difference counts if it stays, and an index that lags cannot explain it."""
    for object_type in ("contact", "company"):
        before: int | None = None
        for number in range(_LOOKS + 1):
            there, here = _theirs_count(tools, object_type), _our_count(tools, outcome.workspace_id, object_type)
            outcome.totals[object_type] = (there, here)
            if abs(there - here) <= _on_the_way(tools, outcome.workspace_id, object_type):
                break
            steady = before in (None, there - here)
            before = there - here
            if number < _LOOKS:
                tools.sleep(tools.patience / _LOOKS)
            elif steady:
                outcome.record(object_type, "", Comparison("count"))
            else:
                outcome.add_reason("The numbers of objects kept changing. Try again in a quieter hour.")


def _on_the_way(tools: VerifyContext, workspace_id: str, object_type: str) -> int:
    """Return by how much Intercom's count may be behind: the changes of the last minutes that move it."""
    c, since = changes.c, datetime.now(UTC) - timedelta(seconds=INDEX_LAG_SECONDS)
    moves = c.op.in_(_MOVING) & (c.object_type == object_type)
    if object_type == "company":
        moves |= c.op.in_(("linked", "unlinked")) & (c.related_type == "company")
    query = select(func.count()).select_from(changes).where(c.workspace_id == workspace_id, c.at > since, moves)
    with tools.reader.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _theirs_count(tools: VerifyContext, object_type: str) -> int:
    page = tools.client.contacts_page(None, 1) if object_type == "contact" else tools.client.companies_page(1, 1)
    return page.total or 0


def _our_count(tools: VerifyContext, workspace_id: str, object_type: str) -> int:
    """Count what Intercom's lists would show: no archived contacts, no companies without contacts."""
    query: Select[Any]
    if object_type == "contact":
        c = contacts.table.c
        query = select(func.count()).select_from(contacts.table).where(c.workspace_id == workspace_id, ~c.archived)
    else:
        c, link = companies.table.c, LINK_TABLES["contact_companies"].c
        linked = exists().where(link.workspace_id == c.workspace_id, link.company_id == c.id)
        query = select(func.count()).select_from(companies.table).where(c.workspace_id == workspace_id, linked)
    with tools.reader.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _ours(tools: VerifyContext, workspace_id: str, object_type: str, rng: random.Random) -> list[str]:
    """Draw ids; every one has the same chance, and only those drawn are kept in memory."""
    drawn: list[str] = []
    met = Seen()
    for piece in ids_of(tools.reader, workspace_id, object_type):
        for object_id in piece:
            if not met.add(object_id):
                continue
            if len(drawn) < SIZE:
                drawn.append(object_id)
            elif (place := rng.randrange(len(met))) < SIZE:
                drawn[place] = object_id
    return drawn


def _their_contacts(tools: VerifyContext, rng: random.Random) -> Iterator[str]:
    """Yield the newest, where a missed update would be, and those created before some random moments."""
    newest = _search(tools, {"field": "updated_at", "operator": ">", "value": 1}, "updated_at")
    yield from (object_id for object_id, _ in newest)
    first = _search(tools, {"field": "created_at", "operator": ">", "value": 1}, "created_at", "ascending")
    moments = [created_at for _, created_at in (*first, *newest) if created_at]
    if not moments:
        return
    yield from (object_id for object_id, _ in first)
    for _ in range(SIZE // _FROM_ONE_PLACE - 2):
        moment = rng.randint(min(moments), max(moments) + 1)
        before = _search(tools, {"field": "created_at", "operator": "<", "value": moment}, "created_at")
        yield from (object_id for object_id, _ in before)


def _search(
    tools: VerifyContext, query: dict[str, object], by: str, order: str = "descending"
) -> list[tuple[str, int]]:
    page = tools.client.search_contacts(query, None, _FROM_ONE_PLACE, {"field": by, "order": order})
    return [(str(item["id"]), int(item.get("created_at") or 0)) for item in page.items if item.get("id")]


def _their_companies(tools: VerifyContext, rng: random.Random) -> Iterator[str]:
    page = tools.client.companies_page(1, _FROM_ONE_PLACE)
    # Pages reach 10,000 companies.
    last = min(page.total or 0, 10_000) // _FROM_ONE_PLACE
    numbers = rng.sample(range(2, last + 1), min(SIZE // _FROM_ONE_PLACE - 1, last - 1)) if last > 1 else []
    for number in (None, *numbers):
        found = page if number is None else tools.client.companies_page(number, _FROM_ONE_PLACE)
        yield from (str(item["id"]) for item in found.items if item.get("id"))
