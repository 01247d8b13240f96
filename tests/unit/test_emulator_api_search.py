"""Searching the pretend Intercom for contacts: the grammar, days and seconds, order, cursors, lag."""

import random

import pytest

from emulator.bulk_load import bulk_load
from tests.emulator_api import DAY, NOW, Api, any_of, condition, every

SECONDS = NOW // 1000


@pytest.fixture
def api() -> Api:
    return Api()


def test_operators_on_texts(api: Api) -> None:
    """Texts are compared whole, by part, by beginning and end, and without regard to case."""
    mira = api.user(name="Mira Lind", email="mira@orchard.example")
    ivo = api.user(name="Ivo Ito", email="ivo@harbour.example")
    for query, wanted in (
        (condition("name", "=", "mira lind"), {mira}),
        (condition("name", "!=", "Mira Lind"), {ivo}),
        (condition("name", "~", "ira"), {mira}),
        (condition("name", "!~", "ira"), {ivo}),
        (condition("email", "^", "ivo"), {ivo}),
        (condition("email", "$", "orchard.example"), {mira}),
        (condition("email_domain", "=", "harbour.example"), {ivo}),
        (condition("email", "IN", ["ivo@harbour.example", "nobody@x.example"]), {ivo}),
        (condition("email", "NIN", ["ivo@harbour.example"]), {mira}),
        (condition("phone", "=", None), {mira, ivo}),
        (condition("unsubscribed_from_emails", "=", value=False), {mira, ivo}),
        (condition("id", "=", mira), {mira}),
    ):
        assert set(api.found(query)) == wanted, query


def test_custom_attributes_are_searched_by_their_type(api: Api) -> None:
    """Numbers are compared as numbers; who has no value meets no comparison."""
    many = api.user(name="A", custom_attributes={"seats": 100, "renewal_at": SECONDS, "is_admin": True})
    few = api.user(name="B", custom_attributes={"seats": 9})
    api.user(name="C")
    assert api.found(condition("custom_attributes.seats", ">", 10)) == [many]
    assert api.found(condition("custom_attributes.seats", "<=", "9")) == [few]
    assert api.found(condition("custom_attributes.is_admin", "=", value=True)) == [many]
    assert api.found(condition("custom_attributes.renewal_at", "=", SECONDS - 3600)) == [many]


@pytest.mark.parametrize(
    "query",
    [
        {"field": "name", "value": "x"},
        every(),
        every(*[condition("name", "=", "x")] * 16),
        every(any_of(every(condition("name", "=", "x")))),
        condition("company_id", "=", "x"),
        condition("custom_attributes.unknown", "=", "x"),
        condition("name", ">", "x"),
        condition("name", "IN", "x"),
        condition("tag_id", "IN", ["x"]),
        condition("unsubscribed_from_emails", "=", "x"),
        condition("custom_attributes.seats", ">", "x"),
        condition("created_at", ">", "x"),
        condition("created_at", ">=", 1),
        condition("created_at", "!=", 1),
        condition("created_at", "IN", [1]),
        condition("name", "~", None),
        "x",
    ],
)
def test_what_intercom_refuses_is_refused(api: Api, query: object) -> None:
    """A query that cannot be read is a 400, never an empty result."""
    assert api.refused("POST", "/contacts/search", {"query": query})[0] == 400


def test_groups_nest(api: Api) -> None:
    """(1 or 2) and (3 or 4)."""
    both = api.user(name="Ada", email="ada@orchard.example")
    api.user(name="Ada", email="ada@harbour.example")
    query = every(
        any_of(condition("name", "=", "ada"), condition("name", "=", "ivo")),
        any_of(condition("email", "$", "orchard.example"), condition("email", "$", "quarry.example")),
    )
    assert api.found(query) == [both]


def test_dates_are_days_of_the_workspace() -> None:
    """Greater begins with the next day, less ends before the day, equal is the whole day, where the workspace is."""
    api = Api(timezone="America/New_York")
    # Midnight there is five o'clock UTC in November; 23:30 on the 17th there is 04:30 on the 18th here.
    api.clock.now = NOW - 6 * 3_600_000 - 36 * 60_000 - 40_000
    late = api.user(name="late on the 17th")
    api.clock.now = NOW
    noon = api.user(name="on the 18th")
    the_18th = SECONDS
    assert api.found(condition("created_at", ">", the_18th - DAY)) == [noon]
    assert api.found(condition("created_at", ">", the_18th)) == []
    assert api.found(condition("created_at", "<", the_18th)) == [late]
    assert api.found(condition("created_at", "=", the_18th)) == [noon]
    assert api.found(condition("created_at", "=", the_18th - DAY)) == [late]


@pytest.mark.parametrize("how", ["version", "quirk"])
def test_later_versions_search_by_the_second(api: Api, how: str) -> None:
    """From 2.17 on, and with the switch, dates are exact and take all comparisons."""
    first = api.user(name="A")
    api.clock.advance(1000)
    second = api.user(name="B")
    if how == "version":
        api.version = "2.17"
    else:
        api.switches.version_grain = "second"
    for operator, wanted in (("=", [first]), (">", [second]), (">=", [second, first]), ("<", []), ("!=", [second])):
        assert api.found(condition("updated_at", operator, SECONDS)) == wanted, operator


def test_pages_cover_a_result_in_order(api: Api) -> None:
    """The cursor goes into the body; each page says where the next begins, the last one does not."""
    bulk_load(api.workspace, 95, 3, links=1, seed=4)
    sort = {"field": "created_at", "order": "ascending"}
    seen: list[int] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        body = {
            "query": condition("role", "IN", ["user", "lead"]),
            "sort": sort,
            "pagination": {"per_page": 20, **({"starting_after": cursor} if cursor else {})},
        }
        page = api.ok("POST", "/contacts/search", body, starting_after="ignored")
        seen += [one["created_at"] for one in page["data"]]
        cursor = page["pages"].get("next", {}).get("starting_after")
        pages += 1
        assert page["pages"]["total_pages"] == -(-page["total_count"] // 20)
    assert seen == sorted(seen)
    assert len(seen) == page["total_count"] == len(api.workspace.users) + len(api.workspace.leads)


def test_a_contact_that_moves_is_skipped(api: Api) -> None:
    """Cursor pages are no snapshot: what is updated behind the cursor moves to where the pages were already read."""
    ids = []
    for number in range(4):
        api.clock.advance(1000)
        ids.append(api.user(name=f"User {number}"))
    query = {"query": condition("role", "=", "user"), "pagination": {"per_page": 2}}
    first = api.ok("POST", "/contacts/search", query)
    api.clock.advance(1000)
    api.workspace.update_contact(ids[0], {"name": "moved"})
    query["pagination"] = {"per_page": 2, "starting_after": first["pages"]["next"]["starting_after"]}
    second = api.ok("POST", "/contacts/search", query)
    assert [one["id"] for one in first["data"] + second["data"]] == [ids[3], ids[2], ids[1]]


def test_other_orders(api: Api) -> None:
    """Any field can be sorted by; no value comes first; an unknown direction is refused."""
    none, bea, ada = api.user(external_id="1"), api.user(name="bea"), api.user(name="Ada")
    query = condition("role", "=", "user")
    assert api.found(query, sort={"field": "name", "order": "ascending"}) == [none, ada, bea]
    body = {"query": query, "sort": {"field": "name", "order": "sideways"}}
    assert api.refused("POST", "/contacts/search", body) == (400, "invalid_sort_order")


def test_the_index_lags(api: Api) -> None:
    """New contacts and new values are found late, an archived or deleted one at once not any more."""
    api.switches.index_lag_seconds = 60
    user, other = api.user(name="Ada"), api.user(name="Ivo")
    query = condition("name", "=", "Ada")
    assert api.found(query) == []
    api.clock.advance(60_000)
    assert api.found(query) == [user]
    api.workspace.update_contact(user, {"name": "Bea"})
    assert api.found(query) == [user]
    assert api.ok("GET", f"/contacts/{user}")["name"] == "Bea"
    api.workspace.archive_contact(user)
    assert api.found(query) == []
    assert [one["id"] for one in api.ok("GET", "/contacts")["data"]] == [other]


def test_tags_segments_and_identities_are_found_by_the_index(api: Api) -> None:
    """What the index answers is what a look at every contact would answer."""
    bulk_load(api.workspace, 300, 5, links=2, seed=9)
    rng = random.Random(1)  # noqa: S311 -- it must be repeatable, it guards nothing
    active = [record for record in api.workspace.contacts.values() if not record.archived]
    tag_id, record = rng.choice(list(api.workspace.tags)), rng.choice(active)
    gold = api.ok("GET", "/segments")["segments"][2]["id"]
    truth = api.workspace.truth()["contacts"]
    year_ago = SECONDS - 365 * DAY
    for query, wanted in (
        (condition("tag_id", "=", tag_id), {one.id for one in active if tag_id in one.tag_ids}),
        (condition("segment_id", "=", gold), {one.id for one in active if gold in truth[one.id]["_segment_ids"]}),
        (
            every(condition("tag_id", "=", tag_id), condition("created_at", ">", year_ago)),
            {
                one.id
                for one in active
                if tag_id in one.tag_ids and one.values["created_at"] // 1000 // DAY > year_ago // DAY
            },
        ),
        (condition("external_id", "=", record.values["external_id"]), {record.id}),
        (
            any_of(condition("updated_at", ">", year_ago), condition("updated_at", "=", year_ago)),
            {one.id for one in active if one.values["updated_at"] // 1000 // DAY >= year_ago // DAY},
        ),
    ):
        page = api.ok("POST", "/contacts/search", {"query": query, "pagination": {"per_page": 150}})
        assert {one["id"] for one in page["data"]} <= wanted, query
        assert (len(page["data"]), page["total_count"]) == (min(150, len(wanted)), len(wanted)), query


def test_a_kept_result_is_made_anew_when_something_changes(api: Api) -> None:
    """The same search twice, with a change between."""
    query = condition("name", "~", "a")
    assert api.found(query) == []
    user = api.user(name="Ada")
    assert api.found(query) == [user]
    api.workspace.update_contact(user, {"name": "Ivo"})
    assert api.found(query) == []


def test_a_window_holds_what_lies_between_its_ends(api: Api) -> None:
    """Two conditions on one time narrow one another; the first second of a day is that day's, and not before it."""
    midnight = SECONDS - SECONDS % DAY
    ids = []
    for day in (-2, -1, 0):
        api.clock.now = (midnight + day * DAY) * 1000
        # The workspace's time never goes back, so it is moved on from before.
        ids.append(api.user(name=f"Day {day}"))
    after, before = condition("created_at", ">", midnight - 2 * DAY), condition("created_at", "<", midnight)
    assert api.found(every(after, before)) == api.found(every(before, after)) == [ids[1]]
    assert api.found(condition("created_at", "<", midnight - DAY)) == [ids[0]]


def test_a_full_last_page_leads_nowhere(api: Api) -> None:
    """Four contacts are two pages of two, in either direction."""
    for number in range(4):
        api.user(name=f"User {number}")
    for direction in ("ascending", "descending"):
        body: dict[str, object] = {
            "query": condition("role", "=", "user"),
            "sort": {"field": "created_at", "order": direction},
            "pagination": {"per_page": 2},
        }
        first = api.ok("POST", "/contacts/search", body)
        body["pagination"] = {"per_page": 2, "starting_after": first["pages"]["next"]["starting_after"]}
        second = api.ok("POST", "/contacts/search", body)
        assert "next" not in second["pages"]
        assert len({one["id"] for one in first["data"] + second["data"]}) == 4
