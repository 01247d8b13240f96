"""Pages of a backfill besides other reports: referenced objects are not read in full, and still nothing is lost."""

import threading
from collections.abc import Callable
from itertools import count
from sys import modules

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from models.apply import apply
from models.db.engine import transaction, write_engine
from models.rule.observations import Observation, Report
from models.tables.internal_tables import link_states, object_states
from models.tables.public_tables import changes
from tests.laws.bodies import START
from tests.laws.case import Case
from tests.laws.histories import WITHOUT_SHRINKING
from tests.laws.mirrors import NOW, Snapshot, SqlMirror, read
from tests.laws.test_concurrency import wait_for_a_lock
from workers.facts import from_listing
from workers.facts.from_fetch import MissingObject, report_from_fetch

# From sys.modules, as the package exports the function of that name.
load = modules["models.apply.load"]


def page(workspace_id: str, second: float, *items: dict[str, object], read: Callable[..., Observation]) -> list[Report]:
    """Read a page that describes a second of the histories."""
    as_of_ms = round((START + second + from_listing.INDEX_LAG_SECONDS) * 1000)
    return from_listing.reports_from_page(workspace_id, "backfill", items, as_of_ms, read)


def a_contact(*companies: str, id_: str = "c") -> dict[str, object]:
    listed = {"type": "list", "data": [{"id": each, "type": "company"} for each in companies], "has_more": False}
    return {
        "type": "contact",
        "id": id_,
        "role": "user",
        "updated_at": START,
        "companies": listed,
        "tags": {"data": []},
    }


def a_company(id_: str = "firm") -> dict[str, object]:
    return {"type": "company", "id": id_, "company_id": id_, "updated_at": START}


def written(case: Case, reports: list[Report]) -> None:
    with transaction(case.mirror.engine) as connection:
        apply(connection, reports, NOW)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "late"])
def test_the_link_of_a_contact_known_only_from_a_segment_is_remembered(case: Case, order: tuple[int, int]) -> None:
    """Nothing else is known of the contact, and still the later fact counts."""
    reports = [
        page(case.mirror.workspace_id, 10, {"id": "c"}, read=from_listing.membership_reader("s", present=False)),
        page(case.mirror.workspace_id, 20, {"id": "c"}, read=from_listing.membership_reader("s")),
    ]
    for place in order:
        written(case, reports[place])
    assert case.links("contact_segments") == {"s"}


def test_a_page_shows_no_link_to_a_tombstone(case: Case) -> None:
    """A tombstone counts even if it is only referenced; the other company becomes dirty."""
    case.apply_fetch(MissingObject(round((START + 100) * 1000)), "gone", "company")
    written(case, page(case.mirror.workspace_id, 10, a_contact("gone", "new"), read=from_listing.read_contact))
    assert case.links() == {"new"}
    assert "new" in case.dirty()


def test_a_repeated_page_changes_nothing(case: Case) -> None:
    """A page may be read again after a crash."""
    reports = page(case.mirror.workspace_id, 10, a_contact("firm"), read=from_listing.read_contact)
    written(case, reports)
    before = case.mirror.snapshot(), case.change_rows()
    written(case, reports)
    assert (case.mirror.snapshot(), case.change_rows()) == before


def meet(url: str, first: Callable[[str], list[Report]], second: Callable[[str], list[Report]]) -> Snapshot:
    """Apply two reports about a known company: the second starts while the first is not yet committed."""
    engine, other = write_engine(url), write_engine(url)
    with transaction(engine) as connection:
        apply(connection, page("race", 1, a_company(), read=from_listing.read_company), NOW)

    def apply_second() -> None:
        with transaction(other) as connection:
            apply(connection, second("race"), NOW)

    late = threading.Thread(target=apply_second)
    with transaction(engine) as connection:
        apply(connection, first("race"), NOW)
        late.start()
        wait_for_a_lock(url)
    late.join()
    snapshot = SqlMirror(engine, "race").snapshot()
    engine.dispose()
    other.dispose()
    return snapshot


def firm_deleted(workspace_id: str) -> list[Report]:
    return [
        report_from_fetch(workspace_id, "company", "firm", MissingObject(round((START + 100) * 1000)), refetched_from=0)
    ]


def firm_referenced(workspace_id: str) -> list[Report]:
    return page(workspace_id, 10, a_contact("firm"), read=from_listing.read_contact)


def test_a_company_deleted_while_a_page_references_it_loses_the_link(postgres_url: str) -> None:
    """The deletion waits for the page, and then finds the link."""
    snapshot = meet(postgres_url, firm_referenced, firm_deleted)
    assert ("company", "firm") not in snapshot.rows
    assert snapshot.links == frozenset()


def test_a_page_that_references_a_company_during_its_deletion_shows_no_link(postgres_url: str) -> None:
    """The page waits for the deletion."""
    assert meet(postgres_url, firm_deleted, firm_referenced).links == frozenset()


def test_contacts_of_one_company_are_written_concurrently(postgres_url: str) -> None:
    """Half of all contacts may have the same tag: no batch waits for it, whether it has a row or is only referenced."""
    engines = [write_engine(postgres_url) for _ in range(2)]
    with transaction(engines[0]) as connection:
        apply(connection, page("w", 1, a_company(), read=from_listing.read_company), NOW)
        apply(connection, read([whole_contact("a", ["firm", "only referenced"], 10)]), NOW)
    # If a batch waited here, PostgreSQL's lock_timeout would raise an error. (All batches wait for the feed's lock,
    # which comes last: changes have an order.)
    with transaction(engines[0]) as one, transaction(engines[1]) as two:
        load.load(one, page("w", 10, a_contact("firm", "only referenced", id_="b"), read=from_listing.read_contact))
        apply(two, page("w", 10, a_contact("firm", "only referenced", id_="c"), read=from_listing.read_contact), NOW)
    with transaction(engines[0]) as one, transaction(engines[1]) as two:
        load.load(one, read([whole_contact("d", ["firm", "only referenced"], 11)]))
        apply(two, read([whole_contact("e", ["firm", "only referenced"], 12)]), NOW)
    assert len(SqlMirror(engines[0], "w").snapshot().links) == 6
    for engine in engines:
        engine.dispose()


def whole_contact(id_: str, companies: list[str], number: int) -> bytes:
    item = a_contact(*companies, id_=id_)
    notification = {"id": f"n{number}", "topic": "contact.user.updated", "app_id": "w", "created_at": START + number}
    return msgspec.json.encode(notification | {"data": {"item": item}})


PAGES = st.lists(
    st.lists(
        st.one_of(
            st.builds(
                lambda id_, firms: ("contact", id_, tuple(sorted(firms))),
                st.sampled_from("abc"),
                st.sets(st.sampled_from("xyz")),
            ),
            st.sampled_from("xyz").map(lambda id_: ("company", id_, ())),
        ),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=4,
)


def test_a_page_in_one_batch_ends_as_its_objects_one_by_one(database_url: str) -> None:
    """Pages with any content, repeated or in any order: each row is the same, dirty counters and feed included."""
    engine, numbers = write_engine(database_url), count()

    @settings(WITHOUT_SHRINKING, max_examples=60)
    @given(pages=PAGES)
    def law(pages: list[list[tuple[str, str, tuple[str, ...]]]]) -> None:
        name = f"w{next(numbers)}"
        outcomes = []
        for how in ("batch", "single"):
            case = Case(SqlMirror(engine, f"{name}-{how}"))
            for second, items in enumerate(pages):
                reports = [each for item in items for each in reports_of(case.mirror.workspace_id, second, *item)]
                for batch in [reports] if how == "batch" else [[each] for each in reports]:
                    written(case, batch)
            outcomes.append((case.mirror.snapshot(), guards_and_lines(case)))
        assert outcomes[0] == outcomes[1]

    law()
    engine.dispose()


def reports_of(workspace_id: str, second: int, kind: str, id_: str, firms: tuple[str, ...]) -> list[Report]:
    if kind == "company":
        return page(workspace_id, second, a_company(id_), read=from_listing.read_company)
    return page(workspace_id, second, a_contact(*firms, id_=id_), read=from_listing.read_contact)


def guards_and_lines(case: Case) -> list[object]:
    guards, change_rows, links = object_states.c, changes.c, link_states.c
    queries = (
        select(guards.object_type, guards.object_id, guards.gone, guards.dirty, guards.clean, guards.registers),
        select(change_rows.object_type, change_rows.object_id, change_rows.related_id, change_rows.op),
        select(links.kind, links.owner_id, links.other_id, links.present, links.stamp),
    )
    here = (guards.workspace_id, change_rows.workspace_id, links.workspace_id)
    with case.mirror.engine.connect() as connection:
        return [
            sorted(connection.execute(query.where(column == case.mirror.workspace_id)).all(), key=repr)
            for query, column in zip(queries, here, strict=True)
        ]
