"""Pages of a fill beside other news: what is named is not read in full, and still nothing is forgotten."""

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

# By its name, as the package shows the function instead.
load = modules["models.apply.load"]


def page(workspace_id: str, second: float, *items: dict[str, object], read: Callable[..., Observation]) -> list[Report]:
    """Read a page that says what was so at a second of the story."""
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
def test_of_a_contact_that_only_a_segment_told_of_the_link_is_remembered(case: Case, order: tuple[int, int]) -> None:
    """Nothing else is known of it, and yet the later word counts."""
    told = [
        page(case.mirror.workspace_id, 10, {"id": "c"}, read=from_listing.membership_reader("s", present=False)),
        page(case.mirror.workspace_id, 20, {"id": "c"}, read=from_listing.membership_reader("s")),
    ]
    for place in order:
        written(case, told[place])
    assert case.links("contact_segments") == {"s"}


def test_a_page_shows_no_link_to_what_is_gone(case: Case) -> None:
    """A tombstone counts also where it is only named; the company beside it is asked for."""
    case.apply_fetch(MissingObject(round((START + 100) * 1000)), "gone", "company")
    written(case, page(case.mirror.workspace_id, 10, a_contact("gone", "new"), read=from_listing.read_contact))
    assert case.links() == {"new"}
    assert "new" in case.dirty()


def test_a_page_that_comes_again_changes_nothing(case: Case) -> None:
    """The rows that a fill makes without looking may be there."""
    told = page(case.mirror.workspace_id, 10, a_contact("firm"), read=from_listing.read_contact)
    written(case, told)
    before = case.mirror.snapshot(), case.change_rows()
    written(case, told)
    assert (case.mirror.snapshot(), case.change_rows()) == before


def meet(url: str, first: Callable[[str], list[Report]], second: Callable[[str], list[Report]]) -> Snapshot:
    """Of a known company, apply one report while another one, begun before it, is not yet committed."""
    engine, other = write_engine(url), write_engine(url)
    with transaction(engine) as connection:
        apply(connection, page("race", 1, a_company(), read=from_listing.read_company), NOW)

    def come_second() -> None:
        with transaction(other) as connection:
            apply(connection, second("race"), NOW)

    late = threading.Thread(target=come_second)
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


def test_a_company_that_goes_while_a_page_names_it_takes_the_link_along(postgres_url: str) -> None:
    """Whoever deletes it waits for the page, and then sees the link."""
    snapshot = meet(postgres_url, firm_referenced, firm_deleted)
    assert ("company", "firm") not in snapshot.rows
    assert snapshot.links == frozenset()


def test_a_page_that_names_a_company_while_it_goes_shows_no_link_to_it(postgres_url: str) -> None:
    """Whoever names it waits until it is gone."""
    assert meet(postgres_url, firm_deleted, firm_referenced).links == frozenset()


def test_contacts_of_one_company_are_written_side_by_side(postgres_url: str) -> None:
    """Half of all contacts may have the same tag: nobody waits for it, whether it is known in full or only by name."""
    engines = [write_engine(postgres_url) for _ in range(2)]
    with transaction(engines[0]) as connection:
        apply(connection, page("w", 1, a_company(), read=from_listing.read_company), NOW)
        apply(connection, read([whole_contact("a", ["firm", "only named"], 10)]), NOW)
    # PostgreSQL's lock_timeout ends with an error what would wait here. (The feed's lock, which comes last, is another
    # matter: its lines have an order.)
    with transaction(engines[0]) as one, transaction(engines[1]) as two:
        load.load(one, page("w", 10, a_contact("firm", "only named", id_="b"), read=from_listing.read_contact))
        apply(two, page("w", 10, a_contact("firm", "only named", id_="c"), read=from_listing.read_contact), NOW)
    with transaction(engines[0]) as one, transaction(engines[1]) as two:
        load.load(one, read([whole_contact("d", ["firm", "only named"], 11)]))
        apply(two, read([whole_contact("e", ["firm", "only named"], 12)]), NOW)
    assert len(SqlMirror(engines[0], "w").snapshot().links) == 6
    for engine in engines:
        engine.dispose()


def whole_contact(id_: str, companies: list[str], number: int) -> bytes:
    item = a_contact(*companies, id_=id_)
    told = {"id": f"n{number}", "topic": "contact.user.updated", "app_id": "w", "created_at": START + number}
    return msgspec.json.encode(told | {"data": {"item": item}})


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
                reports = [told for item in items for told in reports_of(case.mirror.workspace_id, second, *item)]
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
