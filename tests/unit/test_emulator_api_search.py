"""Contact search in the emulated API: queries, days and seconds, order, cursors, lag."""

import random

import pytest

from emulator.bulk_load import bulk_load
from tests.emulator_api import DAY, NOW, Api, any_of, condition, every

SECONDS = NOW // 1000


@pytest.fixture
def api() -> Api:
    return Api()


def test_operators_on_texts(api: Api) -> None:
    """Equality, substring, prefix and suffix ignore case."""
    mira = api.user(name="Mira Lind", email="mira@orchard.example")
    ivo = api.user(name="Ivo Ito", email="ivo@harbour.example")
    for query, expected in (
        (condition("name", "=", "mira lind"), {mira}),
        (condition("name", "!=", "Mira Lind"), {ivo}),
        (condition("name", "~", "ira"), {mira}),
        (condition("name", "!~", "ira"), {ivo}),
        (condition("email", "^", "ivo"), {ivo}),
        (condition("email", "$", "orchard.example"), {mira}),
        (condition("email_domain", "=", "harbour.example"), {ivo}),
        (condition("email", "IN", ["ivo@harbour.example", "unknown@x.example"]), {ivo}),
        (condition("email", "NIN", ["ivo@harbour.example"]), {mira}),
        (condition("phone", "=", None), {mira, ivo}),
        (condition("unsubscribed_from_emails", "=", value=False), {mira, ivo}),
        (condition("id", "=", mira), {mira}),
    ):
        assert set(api.search(query)) == expected, query


def test_custom_attributes_are_searched_by_their_type(api: Api) -> None:
    """Numbers are compared as numbers; a contact without a value meets no comparison."""
    many = api.user(name="A", custom_attributes={"seats": 100, "renewal_at": SECONDS, "is_admin": True})
    few = api.user(name="B", custom_attributes={"seats": 9})
    api.user(name="C")
    assert api.search(condition("custom_attributes.seats", ">", 10)) == [many]
    assert api.search(condition("custom_attributes.seats", "<=", "9")) == [few]
    assert api.search(condition("custom_attributes.is_admin", "=", value=True)) == [many]
    assert api.search(condition("custom_attributes.renewal_at", "=", SECONDS - 3600)) == [many]


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
def test_invalid_queries_are_refused(api: Api, query: object) -> None:
    """An invalid query is a 400, never an empty result."""
    assert api.error("POST", "/contacts/search", {"query": query})[0] == 400


def test_groups_can_be_nested(api: Api) -> None:
    """(1 or 2) and (3 or 4)."""
    both = api.user(name="Ada", email="ada@orchard.example")
    api.user(name="Ada", email="ada@harbour.example")
    query = every(
        any_of(condition("name", "=", "ada"), condition("name", "=", "ivo")),
        any_of(condition("email", "$", "orchard.example"), condition("email", "$", "quarry.example")),
    )
    assert api.search(query) == [both]


def test_dates_are_days_of_the_workspace() -> None:
    """In its timezone: greater begins with the next day, less ends before the day, equal is the whole day."""
    api = Api(timezone="America/New_York")
    # Midnight there is five o'clock UTC in November; 23:30 on the 17th there is 04:30 on the 18th here.
    api.clock.now = NOW - 6 * 3_600_000 - 36 * 60_000 - 40_000
    late = api.user(name="late on the 17th")
    api.clock.now = NOW
    noon = api.user(name="on the 18th")
    the_18th = SECONDS
    assert api.search(condition("created_at", ">", the_18th - DAY)) == [noon]
    assert api.search(condition("created_at", ">", the_18th)) == []
    assert api.search(condition("created_at", "<", the_18th)) == [late]
    assert api.search(condition("created_at", "=", the_18th)) == [noon]
    assert api.search(condition("created_at", "=", the_18th - DAY)) == [late]


@pytest.mark.parametrize("how", ["version", "switch"])
def test_later_versions_search_by_the_second(api: Api, how: str) -> None:
    """From 2.17 on, and with the switch, dates are compared by second and support all operators."""
    first = api.user(name="A")
    api.clock.advance(1000)
    second = api.user(name="B")
    if how == "version":
        api.version = "2.17"
    else:
        api.switches.version_grain = "second"
    for operator, expected in (("=", [first]), (">", [second]), (">=", [second, first]), ("<", []), ("!=", [second])):
        assert api.search(condition("updated_at", operator, SECONDS)) == expected, operator


def test_pages_cover_a_result_in_order(api: Api) -> None:
    """The cursor is in the body; every page but the last contains the next cursor."""
    bulk_load(api.workspace, 95, 3, links=1, seed=4)
    sort = {"field": "created_at", "order": "ascending"}
    times: list[int] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        body = {
            "query": condition("role", "IN", ["user", "lead"]),
            "sort": sort,
            "pagination": {"per_page": 20, **({"starting_after": cursor} if cursor else {})},
        }
        page = api.ok("POST", "/contacts/search", body, starting_after="ignored")
        times += [each["created_at"] for each in page["data"]]
        cursor = page["pages"].get("next", {}).get("starting_after")
        pages += 1
        assert page["pages"]["total_pages"] == -(-page["total_count"] // 20)
    assert times == sorted(times)
    assert len(times) == page["total_count"] == len(api.workspace.users) + len(api.workspace.leads)


def test_a_contact_that_changes_position_is_skipped(api: Api) -> None:
    """Cursor pages are not a snapshot: an updated contact moves to pages that were already read."""
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
    assert [each["id"] for each in first["data"] + second["data"]] == [ids[3], ids[2], ids[1]]


def test_results_can_be_sorted_by_any_field(api: Api) -> None:
    """Contacts without a value come first; an unknown direction is refused."""
    none, bea, ada = api.user(external_id="1"), api.user(name="bea"), api.user(name="Ada")
    query = condition("role", "=", "user")
    assert api.search(query, sort={"field": "name", "order": "ascending"}) == [none, ada, bea]
    body = {"query": query, "sort": {"field": "name", "order": "sideways"}}
    assert api.error("POST", "/contacts/search", body) == (400, "invalid_sort_order")


def test_the_index_lags(api: Api) -> None:
    """New contacts and values are found after the lag; archived and deleted contacts disappear at once."""
    api.switches.index_lag_seconds = 60
    user, other = api.user(name="Ada"), api.user(name="Ivo")
    query = condition("name", "=", "Ada")
    assert api.search(query) == []
    api.clock.advance(60_000)
    assert api.search(query) == [user]
    api.workspace.update_contact(user, {"name": "Bea"})
    assert api.search(query) == [user]
    assert api.ok("GET", f"/contacts/{user}")["name"] == "Bea"
    api.workspace.archive_contact(user)
    assert api.search(query) == []
    assert [each["id"] for each in api.ok("GET", "/contacts")["data"]] == [other]


def test_tags_segments_and_identities_are_found_by_the_index(api: Api) -> None:
    """The index returns the same as a check of every contact."""
    bulk_load(api.workspace, 300, 5, links=2, seed=9)
    rng = random.Random(1)  # noqa: S311 -- it must be repeatable, it guards nothing
    active = [record for record in api.workspace.contacts.values() if not record.archived]
    tag_id, record = rng.choice(list(api.workspace.tags)), rng.choice(active)
    gold = api.ok("GET", "/segments")["segments"][2]["id"]
    truth = api.workspace.truth()["contacts"]
    year_ago = SECONDS - 365 * DAY
    for query, expected in (
        (condition("tag_id", "=", tag_id), {each.id for each in active if tag_id in each.tag_ids}),
        (condition("segment_id", "=", gold), {each.id for each in active if gold in truth[each.id]["_segment_ids"]}),
        (
            every(condition("tag_id", "=", tag_id), condition("created_at", ">", year_ago)),
            {
                each.id
                for each in active
                if tag_id in each.tag_ids and each.values["created_at"] // 1000 // DAY > year_ago // DAY
            },
        ),
        (condition("external_id", "=", record.values["external_id"]), {record.id}),
        (
            any_of(condition("updated_at", ">", year_ago), condition("updated_at", "=", year_ago)),
            {each.id for each in active if each.values["updated_at"] // 1000 // DAY >= year_ago // DAY},
        ),
    ):
        page = api.ok("POST", "/contacts/search", {"query": query, "pagination": {"per_page": 150}})
        assert {each["id"] for each in page["data"]} <= expected, query
        assert (len(page["data"]), page["total_count"]) == (min(150, len(expected)), len(expected)), query


def test_a_change_invalidates_a_cached_result(api: Api) -> None:
    """The same search has another result after each change."""
    query = condition("name", "~", "a")
    assert api.search(query) == []
    user = api.user(name="Ada")
    assert api.search(query) == [user]
    api.workspace.update_contact(user, {"name": "Ivo"})
    assert api.search(query) == []


def test_two_conditions_on_one_time_narrow_each_other(api: Api) -> None:
    """The result lies between both; the first second of a day belongs to that day."""
    midnight = SECONDS - SECONDS % DAY
    ids = []
    for day in (-2, -1, 0):
        api.clock.now = (midnight + day * DAY) * 1000
        # The workspace's time never goes back, so the days come in order.
        ids.append(api.user(name=f"Day {day}"))
    after, before = condition("created_at", ">", midnight - 2 * DAY), condition("created_at", "<", midnight)
    assert api.search(every(after, before)) == api.search(every(before, after)) == [ids[1]]
    assert api.search(condition("created_at", "<", midnight - DAY)) == [ids[0]]


def test_a_full_last_page_has_no_cursor(api: Api) -> None:
    """Four contacts are two pages of two, in both directions."""
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
        assert len({each["id"] for each in first["data"] + second["data"]}) == 4
