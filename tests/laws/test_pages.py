"""Pages of a fill beside other news: what is named is not read in full, and still nothing is forgotten."""

import threading
from collections.abc import Callable

import pytest

from models.apply import apply
from models.engine import transaction, write_engine
from models.observations import Observation, Report
from tests.laws.bodies import START
from tests.laws.book import Book
from tests.laws.mirrors import NOW, SqlMirror
from tests.laws.test_concurrency import wait_for_a_lock
from workers.fetched import Gone, report
from workers.sync import facts


def page(workspace_id: str, second: float, *items: dict[str, object], read: Callable[..., Observation]) -> list[Report]:
    """Read a page that says what was so at a second of the story."""
    as_of_ms = round((START + second + facts.INDEX_LAG_SECONDS) * 1000)
    return facts.reports(workspace_id, "backfill", items, as_of_ms, read)


def a_contact(*companies: str) -> dict[str, object]:
    listed = {"type": "list", "data": [{"id": id_, "type": "company"} for id_ in companies], "has_more": False}
    return {
        "type": "contact",
        "id": "c",
        "role": "user",
        "updated_at": START,
        "companies": listed,
        "tags": {"data": []},
    }


def written(book: Book, reports: list[Report]) -> None:
    with transaction(book.mirror.engine) as connection:
        apply(connection, reports, NOW)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "late"])
def test_of_a_contact_that_only_a_segment_told_of_the_link_is_remembered(book: Book, order: tuple[int, int]) -> None:
    """Nothing else is known of it, and yet the later word counts."""
    told = [
        page(book.mirror.workspace_id, 10, {"id": "c"}, read=facts.member("s", present=False)),
        page(book.mirror.workspace_id, 20, {"id": "c"}, read=facts.member("s")),
    ]
    for place in order:
        written(book, told[place])
    assert book.links("contact_segments") == {"s"}


def test_a_page_shows_no_link_to_what_is_gone(book: Book) -> None:
    """A tombstone counts also where it is only named; the company beside it is asked for."""
    book.answer(Gone(round((START + 100) * 1000)), "gone", "company")
    written(book, page(book.mirror.workspace_id, 10, a_contact("gone", "new"), read=facts.contact))
    assert book.links() == {"new"}
    assert "new" in book.dirty()


def test_a_page_that_comes_again_changes_nothing(book: Book) -> None:
    """The rows that a fill makes without looking may be there."""
    told = page(book.mirror.workspace_id, 10, a_contact("firm"), read=facts.contact)
    written(book, told)
    before = book.mirror.picture(), book.lines()
    written(book, told)
    assert (book.mirror.picture(), book.lines()) == before


def test_a_company_that_goes_while_a_page_names_it_takes_the_link_along(postgres_url: str) -> None:
    """Whoever deletes it waits for the page, and then sees the link."""
    engine, other = write_engine(postgres_url), write_engine(postgres_url)
    mirror = SqlMirror(engine, "race")
    firm = {"type": "company", "id": "firm", "company_id": "1", "updated_at": START}
    with transaction(engine) as connection:
        apply(connection, page("race", 1, firm, read=facts.company), NOW)

    def delete() -> None:
        with transaction(other) as connection:
            apply(connection, [report("race", "company", "firm", Gone(round((START + 100) * 1000)), clears=0)], NOW)

    deleter = threading.Thread(target=delete)
    with transaction(engine) as connection:
        apply(connection, page("race", 10, a_contact("firm"), read=facts.contact), NOW)
        deleter.start()
        wait_for_a_lock(postgres_url)
    deleter.join()
    picture = mirror.picture()
    assert ("company", "firm") not in picture.rows
    assert picture.links == frozenset()
    engine.dispose()
    other.dispose()
