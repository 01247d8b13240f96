"""The client speaks with the pretend Intercom, on its good days and on its bad ones."""

import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
import requests
import responses
from msgspec.structs import replace
from urllib3.connectionpool import HTTPConnectionPool

from intercom_api.errors import (
    MergedError,
    NotAuthorizedError,
    NotFoundError,
    RejectedError,
    ScrollInUseError,
    ScrollRequiredError,
    TransientError,
)
from intercom_api.http import oauth
from intercom_api.http.client import IntercomClient
from intercom_api.http.company_scroll import BUSY_TIMEOUT_SECONDS
from intercom_api.http.pages import Page
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import RETRY_POLICIES, Lane
from tests.stories.intercom_server import TOKEN, WORKSPACE, IntercomServer, intercom_server

ELSEWHERE = "http://127.0.0.1:9"
EVERYBODY = {"field": "created_at", "operator": ">", "value": 0}


@pytest.fixture
def intercom(redis_url: str) -> Iterator[IntercomServer]:
    with intercom_server(redis_url) as made:
        yield made


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as made:
        yield made


def ids(pages: list[Page]) -> list[str]:
    return [str(item["id"]) for page in pages for item in page.items]


def all_contacts(client: IntercomClient, per_page: int) -> list[Page]:
    pages = [client.contacts_page(None, per_page)]
    while pages[-1].next:
        pages.append(client.contacts_page(pages[-1].next, per_page))
    return pages


def test_a_token_tells_whose_it_is(intercom: IntercomServer) -> None:
    """The workspace, its region and its timezone."""
    me = intercom.client().me()
    assert (me.workspace_id, me.region, me.timezone) == (WORKSPACE, "US", "Etc/UTC")


def test_contacts_come_by_pages_until_there_is_no_next(intercom: IntercomServer) -> None:
    """Each once, none left out."""
    made = intercom.contacts(7)
    pages = all_contacts(intercom.client(), 3)
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert sorted(ids(pages)) == sorted(made)
    assert pages[0].total == 7


def test_an_empty_cursor_is_never_sent(intercom: IntercomServer) -> None:
    """Intercom answers it with 500, and the word None with 400."""
    intercom.contacts(1)
    client = intercom.client()
    assert client.contacts_page("").next is None
    assert client.search_contacts(EVERYBODY, "").next is None


def test_the_cursor_of_a_search_goes_in_the_body(intercom: IntercomServer) -> None:
    """In the query it would be ignored, and the first page come for ever."""
    made = intercom.contacts(5)
    client, sort = intercom.client(), {"field": "created_at", "order": "ascending"}
    pages = [client.search_contacts(EVERYBODY, None, 2, sort)]
    while pages[-1].next:
        pages.append(client.search_contacts(EVERYBODY, pages[-1].next, 2, sort))
    assert sorted(ids(pages)) == sorted(made)
    assert len(pages) == 3


def test_companies_come_by_page_numbers(intercom: IntercomServer) -> None:
    """The next page is the next number."""
    made = intercom.companies(5)
    client = intercom.client()
    pages = [client.companies_page(number, 2) for number in (1, 2, 3)]
    assert [page.next for page in pages] == ["2", "3", None]
    assert sorted(ids(pages)) == sorted(made)


def test_beyond_ten_thousand_companies_a_scroll_is_needed(intercom: IntercomServer) -> None:
    """Whether Intercom says so or the number does."""
    intercom.companies(5)
    intercom.switches.list_wall = 4
    with pytest.raises(ScrollRequiredError):
        intercom.client().companies_page(3, 2)
    with pytest.raises(ScrollRequiredError):
        intercom.client().companies_page(168, 60)


def test_a_list_that_ends_at_the_wall_does_not_end(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """Perhaps Intercom just shows no more; the next page asks for the scroll."""
    body = {"data": [{"id": "1"}], "pages": {"page": 200, "total_pages": 200, "next": None}, "total_count": 10_000}
    mock.post(f"{ELSEWHERE}/companies/list", json=body)
    assert client_to(ELSEWHERE, intercom.governor).companies_page(200, 50).next == "201"


def test_a_scroll_reaches_all_companies(intercom: IntercomServer) -> None:
    """It ends with an empty page, whose parameter nobody needs."""
    made = intercom.companies(250)
    pages = list(intercom.client().scroll_companies())
    assert [len(page.items) for page in pages] == [100, 100, 50]
    assert sorted(ids(pages)) == sorted(made)
    assert not any(page.restarted for page in pages)


def test_a_scroll_that_broke_off_begins_again(intercom: IntercomServer) -> None:
    """It cannot be resumed, and whoever counts pages is told."""
    made = intercom.companies(250)
    pages = intercom.client().scroll_companies()
    got = [next(pages)]
    intercom.switches.scroll_error_rate = 1.0
    intercom.meanwhile = lambda: setattr(intercom.switches, "scroll_error_rate", 0.0)
    got += pages
    assert [page.restarted for page in got] == [False, True, False, False]
    assert sorted(ids(got[1:])) == sorted(made)


def test_a_lease_that_ran_out_begins_again(intercom: IntercomServer) -> None:
    """Whoever takes more than a minute for a page has lost it."""
    intercom.companies(150)
    pages = intercom.client().scroll_companies()
    got = [next(pages)]
    intercom.switches.clock_shift_seconds += 61
    got += pages
    assert [page.restarted for page in got] == [False, True, False]


def test_a_page_lost_on_the_way_is_not_skipped(intercom: IntercomServer) -> None:
    """The same question would be answered with the page after it, so all begins again once our own lease is over."""
    made = intercom.companies(250)
    pages = intercom.client().scroll_companies()
    got = [next(pages)]
    intercom.switches.empty_rate = 1.0
    intercom.meanwhile = lambda: setattr(intercom.switches, "empty_rate", 0.0)
    got += pages
    assert sorted(ids(got[1:])) == sorted(made)
    assert sum(intercom.paused) > 60


def test_a_scroll_waits_for_another_one_to_end(intercom: IntercomServer) -> None:
    """The lease of one who died ends after a minute."""
    intercom.companies(1)
    next(intercom.client().scroll_companies())
    assert len(list(intercom.client().scroll_companies())) == 1
    assert 60 <= sum(intercom.paused) <= 90


def test_a_scroll_gives_up_where_another_one_goes_on(intercom: IntercomServer) -> None:
    """The caller may list by page instead."""
    intercom.companies(1)
    intercom.switches.scroll_lock = True
    with pytest.raises(ScrollInUseError):
        list(intercom.client().scroll_companies())
    assert sum(intercom.paused) == BUSY_TIMEOUT_SECONDS


def test_a_scroll_that_always_breaks_off_is_left_for_later(intercom: IntercomServer) -> None:
    """No loop without an end."""
    intercom.companies(1)
    intercom.switches.scroll_error_rate = 1.0
    with pytest.raises(TransientError):
        list(intercom.client().scroll_companies())


@pytest.mark.parametrize("key", ["data", "companies"])
def test_the_companies_of_a_contact_are_listed_under_either_key(intercom: IntercomServer, key: str) -> None:
    """Example and schema differ, and the next page is named by an address."""
    made = intercom.companies(120)
    intercom.switches.companies_key = key
    contact_id = next(iter(intercom.workspace.contacts))
    pages = list(intercom.client().contact_companies(contact_id))
    assert [len(page.items) for page in pages] == [50, 50, 20]
    assert sorted(ids(pages)) == sorted(made)


def test_the_contacts_of_a_company_are_listed(intercom: IntercomServer) -> None:
    """By cursor."""
    [company_id] = intercom.companies(1)
    for contact_id in intercom.contacts(60):
        intercom.workspace.attach(contact_id, company_id)
    assert len(ids(list(intercom.client().company_contacts(company_id)))) == 61


def test_a_workspace_tells_its_words(intercom: IntercomServer) -> None:
    """Tags, segments, attributes and admins."""
    intercom.workspace.create_tag("vip")
    client = intercom.client()
    assert [tag["name"] for tag in client.tags().items] == ["vip"]
    assert client.segments().items
    assert client.data_attributes("contact")
    assert client.admins()


def test_a_missing_contact_is_not_found(intercom: IntercomServer) -> None:
    """And we know as of when."""
    with pytest.raises(NotFoundError) as caught:
        intercom.client().contact("nobody")
    assert caught.value.as_of_ms


def test_a_merged_contact_leads_on(intercom: IntercomServer) -> None:
    """From 2.16 on; before, it is just not there."""
    [source, survivor] = intercom.contacts(2)
    intercom.workspace.merge_contacts(source, survivor, any_role=True)
    with pytest.raises(MergedError) as caught:
        intercom.client().contact(source)
    assert caught.value.into == survivor
    with pytest.raises(NotFoundError):
        intercom.client(version="2.15").contact(source)
    assert [entry["source_contact_id"] for entry in intercom.client().merge_history(survivor)] == [source]


def test_an_id_cannot_leave_its_place_in_the_address(intercom: IntercomServer) -> None:
    """Whatever stands in it."""
    with pytest.raises(NotFoundError):
        intercom.client().contact("../me")
    assert intercom.calls("/me") == 0


def test_a_dead_token_is_not_tried_again(intercom: IntercomServer) -> None:
    """Once is enough, and the error does not repeat it."""
    with pytest.raises(NotAuthorizedError) as caught:
        intercom.client(token="a-secret-token").me()
    assert caught.value.code == "unauthorized"
    assert "a-secret-token" not in repr(caught.value)


def test_a_token_of_another_region_is_refused_by_a_regions_host(intercom: IntercomServer) -> None:
    """Only the first host passes calls on."""
    intercom.client(region="us").me()
    with pytest.raises(NotAuthorizedError):
        intercom.client(region="eu").me()


def test_calls_share_their_connections(intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other needs one; a handshake for each call would double what it takes."""
    opened: list[object] = []
    new = HTTPConnectionPool._new_conn

    def counted(pool: HTTPConnectionPool) -> object:
        opened.append(pool)
        return new(pool)

    monkeypatch.setattr(HTTPConnectionPool, "_new_conn", counted)
    client = intercom.client()
    for _ in range(20):
        client.tags()
    assert len(opened) <= 1


def test_an_answer_that_does_not_come_is_not_waited_for(
    intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intercom took the call and says nothing: waiting helps, but not for ever."""
    monkeypatch.setitem(
        RETRY_POLICIES, Lane.BACKFILL, replace(RETRY_POLICIES[Lane.BACKFILL], read_timeout_seconds=0.2, attempts=1)
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_to(f"http://127.0.0.1:{silent.getsockname()[1]}", intercom.governor)
        began = time.monotonic()
        with pytest.raises(TransientError):
            client.tags()
    assert time.monotonic() - began < 5


def test_random_failures_do_not_stop_a_walk(intercom: IntercomServer) -> None:
    """Errors, empty and broken bodies: a long job asks again and gets every contact once."""
    made = intercom.contacts(40)
    intercom.switches.change({"error_rate": 0.15, "empty_rate": 0.1, "broken_rate": 0.1})
    assert sorted(ids(all_contacts(intercom.client(), 2))) == sorted(made)
    assert intercom.paused


def test_a_user_does_not_wait_long(intercom: IntercomServer) -> None:
    """Two tries, then the error."""
    intercom.switches.error_rate = 1.0
    with pytest.raises(TransientError):
        intercom.client(Lane.INTERACTIVE).me()
    assert len(intercom.paused) == 1


def test_what_creates_is_said_once(intercom: IntercomServer) -> None:
    """Half of the failures come after the work was done."""
    intercom.switches.empty_rate = 1.0
    with pytest.raises(TransientError):
        intercom.client().request("POST", "/tags", json={"name": "vip"})
    assert intercom.paused == []


def client_to(url: str, governor: Governor, **rest: Any) -> IntercomClient:
    return IntercomClient(
        "a-secret-token",
        url,
        version="2.16",
        governor=governor,
        app="an-app",
        workspace_id="elsewhere",
        lane=Lane.BACKFILL,
        **rest,
    )


def test_what_was_refused_unheard_is_said_again_even_if_it_creates(
    mock: responses.RequestsMock, intercom: IntercomServer
) -> None:
    """429 comes before the work."""
    mock.post(f"{ELSEWHERE}/tags", status=429, json={"errors": []}, headers={"Retry-After": "1"})
    mock.post(f"{ELSEWHERE}/tags", json={"id": "1"})
    assert client_to(ELSEWHERE, intercom.governor).request("POST", "/tags", json={}).json == {"id": "1"}


def test_every_call_names_its_version_and_its_token(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """Whatever a .netrc file or the Developer Hub says."""
    mock.get(f"{ELSEWHERE}/tags", json={"data": []})
    client_to(ELSEWHERE, intercom.governor).tags()
    sent = mock.calls[0].request.headers
    assert sent["Intercom-Version"] == "2.16"
    assert sent["Authorization"] == "Bearer a-secret-token"


def test_a_user_waits_for_the_allowance_once(intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each try."""
    waited: list[Lane] = []

    def never(_self: Governor, _app: str, _workspace_id: str, lane: Lane) -> int:
        waited.append(lane)
        raise TransientError("Not now.", 5, not_processed=True)

    monkeypatch.setattr(Governor, "acquire", never)
    with pytest.raises(TransientError):
        intercom.client(Lane.INTERACTIVE).me()
    assert waited == [Lane.INTERACTIVE]


def test_no_answer_is_told_without_the_address(intercom: IntercomServer) -> None:
    """Nobody listens on that port, and the query holds an e-mail address."""
    paused: list[float] = []
    client = client_to(ELSEWHERE, intercom.governor, pause=paused.append)
    with pytest.raises(TransientError) as caught:
        client.request("POST", "/contacts", params={"email": "ada@example.test"}, json={})
    error = caught.value
    assert error.not_processed
    assert "ada" not in f"{error} {error!r} {error.__cause__}"
    assert error.__suppress_context__


def test_a_page_that_names_itself_ends_in_an_error(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """Not in a loop."""
    mock.get(f"{ELSEWHERE}/contacts", json={"data": [], "pages": {"next": {"starting_after": "x"}}})
    with pytest.raises(TransientError, match="itself"):
        client_to(ELSEWHERE, intercom.governor).contacts_page("x")


def test_an_empty_page_is_not_the_end(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """Only a missing next is."""
    mock.get(f"{ELSEWHERE}/contacts", json={"data": [], "pages": {"next": {"starting_after": "y"}}})
    page = client_to(ELSEWHERE, intercom.governor).contacts_page("x")
    assert (page.items, page.next) == ([], "y")


def test_me_without_a_workspace_asks_for_the_permission(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """The app is null where the token may not read admins."""
    mock.get(f"{ELSEWHERE}/me", json={"type": "admin", "id": "1", "app": None})
    with pytest.raises(RejectedError, match="permission"):
        client_to(ELSEWHERE, intercom.governor).me()


def test_a_code_becomes_a_token_once(intercom: IntercomServer) -> None:
    """The second time Intercom does not know it."""
    page = oauth.authorize_url(f"{intercom.url}/us/oauth", "development", "http://127.0.0.1:8000/oauth/callback", "s")
    sent = requests.post(page, data={"workspace": WORKSPACE, "answer": "allow"}, allow_redirects=False, timeout=5)
    code = unquote(sent.headers["Location"].partition("code=")[2].partition("&")[0])
    token = oauth.exchange_code(f"{intercom.url}/us", "development", "secret", code)
    assert intercom.client(token=token).me().workspace_id == WORKSPACE
    with pytest.raises(NotAuthorizedError):
        oauth.exchange_code(f"{intercom.url}/us", "development", "secret", code)


def test_an_uninstalled_app_has_no_tokens(intercom: IntercomServer) -> None:
    """And uninstalling twice is no error."""
    oauth.uninstall(f"{intercom.url}/us", TOKEN)
    with pytest.raises(NotAuthorizedError):
        intercom.client().me()
    oauth.uninstall(f"{intercom.url}/us", TOKEN)


def test_the_emulators_limit_is_kept(intercom: IntercomServer) -> None:
    """What is left of the window goes to users; the long job waits for the next."""
    intercom.switches.rate_limit = 120
    client = intercom.client()
    for _ in range(25):
        client.tags()
    calls = intercom.calls("/tags")
    assert calls == 25
