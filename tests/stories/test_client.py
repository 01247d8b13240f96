"""The client against the emulator, with and without faults."""

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
ALL_CONTACTS = {"field": "created_at", "operator": ">", "value": 0}


@pytest.fixture
def intercom(redis_url: str) -> Iterator[IntercomServer]:
    with intercom_server(redis_url) as server:
        yield server


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


def test_me_returns_the_owner_of_the_token(intercom: IntercomServer) -> None:
    """The workspace, its region and its timezone."""
    me = intercom.client().me()
    assert (me.workspace_id, me.region, me.timezone) == (WORKSPACE, "US", "Etc/UTC")


def test_contacts_are_paged_until_there_is_no_next(intercom: IntercomServer) -> None:
    """Each contact comes exactly once."""
    made = intercom.contacts(7)
    pages = all_contacts(intercom.client(), 3)
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert sorted(ids(pages)) == sorted(made)
    assert pages[0].total == 7


def test_an_empty_cursor_is_never_sent(intercom: IntercomServer) -> None:
    """Intercom answers 500 to an empty cursor, and 400 to the word None."""
    intercom.contacts(1)
    client = intercom.client()
    assert client.contacts_page("").next is None
    assert client.search_contacts(ALL_CONTACTS, "").next is None


def test_the_cursor_of_a_search_is_in_the_body(intercom: IntercomServer) -> None:
    """In the query string it would be ignored, and the first page returned for ever."""
    made = intercom.contacts(5)
    client, sort = intercom.client(), {"field": "created_at", "order": "ascending"}
    pages = [client.search_contacts(ALL_CONTACTS, None, 2, sort)]
    while pages[-1].next:
        pages.append(client.search_contacts(ALL_CONTACTS, pages[-1].next, 2, sort))
    assert sorted(ids(pages)) == sorted(made)
    assert len(pages) == 3


def test_companies_are_paged_by_number(intercom: IntercomServer) -> None:
    """The next page is the next number."""
    made = intercom.companies(5)
    client = intercom.client()
    pages = [client.companies_page(number, 2) for number in (1, 2, 3)]
    assert [page.next for page in pages] == ["2", "3", None]
    assert sorted(ids(pages)) == sorted(made)


def test_beyond_ten_thousand_companies_a_scroll_is_needed(intercom: IntercomServer) -> None:
    """By Intercom's response, or by the page number."""
    intercom.companies(5)
    intercom.switches.list_wall = 4
    with pytest.raises(ScrollRequiredError):
        intercom.client().companies_page(3, 2)
    with pytest.raises(ScrollRequiredError):
        intercom.client().companies_page(168, 60)


def test_a_list_that_ends_at_the_page_limit_has_a_next_page(
    mock: responses.RequestsMock, intercom: IntercomServer
) -> None:
    """Intercom may just not list more; the next page requires the scroll."""
    body = {"data": [{"id": "1"}], "pages": {"page": 200, "total_pages": 200, "next": None}, "total_count": 10_000}
    mock.post(f"{ELSEWHERE}/companies/list", json=body)
    assert client_to(ELSEWHERE, intercom.governor).companies_page(200, 50).next == "201"


def test_a_scroll_reaches_all_companies(intercom: IntercomServer) -> None:
    """It ends with an empty page."""
    made = intercom.companies(250)
    pages = list(intercom.client().scroll_companies())
    assert [len(page.items) for page in pages] == [100, 100, 50]
    assert sorted(ids(pages)) == sorted(made)
    assert not any(page.restarted for page in pages)


def test_a_scroll_that_broke_off_begins_again(intercom: IntercomServer) -> None:
    """It cannot be resumed, so the first page is marked as a restart."""
    made = intercom.companies(250)
    pages = intercom.client().scroll_companies()
    got = [next(pages)]
    intercom.switches.scroll_error_rate = 1.0
    intercom.meanwhile = lambda: setattr(intercom.switches, "scroll_error_rate", 0.0)
    got += pages
    assert [page.restarted for page in got] == [False, True, False, False]
    assert sorted(ids(got[1:])) == sorted(made)


def test_a_scroll_with_an_expired_lease_begins_again(intercom: IntercomServer) -> None:
    """More than a minute between two pages ends the lease."""
    intercom.companies(150)
    pages = intercom.client().scroll_companies()
    got = [next(pages)]
    intercom.switches.clock_shift_seconds += 61
    got += pages
    assert [page.restarted for page in got] == [False, True, False]


def test_a_lost_page_of_a_scroll_is_not_skipped(intercom: IntercomServer) -> None:
    """The same request would return the page after it, so the scroll begins again after its own lease has expired."""
    made = intercom.companies(250)
    pages = intercom.client().scroll_companies()
    got = [next(pages)]
    intercom.switches.empty_rate = 1.0
    intercom.meanwhile = lambda: setattr(intercom.switches, "empty_rate", 0.0)
    got += pages
    assert sorted(ids(got[1:])) == sorted(made)
    assert sum(intercom.paused) > 60


def test_a_scroll_waits_for_another_one_to_end(intercom: IntercomServer) -> None:
    """The lease of a process that exited expires after a minute."""
    intercom.companies(1)
    next(intercom.client().scroll_companies())
    assert len(list(intercom.client().scroll_companies())) == 1
    assert 60 <= sum(intercom.paused) <= 90


def test_a_scroll_gives_up_if_another_one_continues(intercom: IntercomServer) -> None:
    """The caller may list by page instead."""
    intercom.companies(1)
    intercom.switches.scroll_lock = True
    with pytest.raises(ScrollInUseError):
        list(intercom.client().scroll_companies())
    assert sum(intercom.paused) == BUSY_TIMEOUT_SECONDS


def test_a_scroll_that_always_breaks_off_fails(intercom: IntercomServer) -> None:
    """It is not restarted without end."""
    intercom.companies(1)
    intercom.switches.scroll_error_rate = 1.0
    with pytest.raises(TransientError):
        list(intercom.client().scroll_companies())


@pytest.mark.parametrize("key", ["data", "companies"])
def test_the_companies_of_a_contact_are_listed_under_either_key(intercom: IntercomServer, key: str) -> None:
    """Example and schema differ, and the next page is given as an address."""
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


def test_the_definitions_of_a_workspace_are_listed(intercom: IntercomServer) -> None:
    """Tags, segments, attributes and admins."""
    intercom.workspace.create_tag("vip")
    client = intercom.client()
    assert [tag["name"] for tag in client.tags().items] == ["vip"]
    assert client.segments().items
    assert client.data_attributes("contact")
    assert client.admins()


def test_a_missing_contact_is_not_found(intercom: IntercomServer) -> None:
    """The error has the time at which that was true."""
    with pytest.raises(NotFoundError) as caught:
        intercom.client().contact("missing")
    assert caught.value.as_of_ms


def test_a_merged_contact_leads_to_the_remaining_one(intercom: IntercomServer) -> None:
    """From version 2.16 on; before, it is not found."""
    [source, survivor] = intercom.contacts(2)
    intercom.workspace.merge_contacts(source, survivor, any_role=True)
    with pytest.raises(MergedError) as caught:
        intercom.client().contact(source)
    assert caught.value.into == survivor
    with pytest.raises(NotFoundError):
        intercom.client(version="2.15").contact(source)
    assert [entry["source_contact_id"] for entry in intercom.client().merge_history(survivor)] == [source]


def test_an_id_cannot_change_the_path(intercom: IntercomServer) -> None:
    """For any id."""
    with pytest.raises(NotFoundError):
        intercom.client().contact("../me")
    assert intercom.calls("/me") == 0


def test_a_refused_token_is_not_retried(intercom: IntercomServer) -> None:
    """The error does not contain the token."""
    with pytest.raises(NotAuthorizedError) as caught:
        intercom.client(token="a-secret-token").me()
    assert caught.value.code == "unauthorized"
    assert "a-secret-token" not in repr(caught.value)


def test_a_token_of_another_region_is_refused_by_a_regions_host(intercom: IntercomServer) -> None:
    """Only the default host forwards calls to other regions."""
    intercom.client(region="us").me()
    with pytest.raises(NotAuthorizedError):
        intercom.client(region="eu").me()


def test_calls_share_their_connections(intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consecutive calls use one connection; a handshake for each would double their time."""
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


def test_a_missing_response_times_out(intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Intercom accepts the request and does not respond."""
    monkeypatch.setitem(
        RETRY_POLICIES, Lane.BACKFILL, replace(RETRY_POLICIES[Lane.BACKFILL], read_timeout_seconds=0.2, attempts=1)
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_to(f"http://127.0.0.1:{silent.getsockname()[1]}", intercom.governor)
        began = time.monotonic()
        with pytest.raises(TransientError):
            client.tags()
    assert time.monotonic() - began < 5


def test_random_failures_do_not_stop_a_long_job(intercom: IntercomServer) -> None:
    """After errors, empty and broken bodies a long job retries, and gets every contact once."""
    made = intercom.contacts(40)
    intercom.switches.change({"error_rate": 0.15, "empty_rate": 0.1, "broken_rate": 0.1})
    assert sorted(ids(all_contacts(intercom.client(), 2))) == sorted(made)
    assert intercom.paused


def test_a_user_does_not_wait_long(intercom: IntercomServer) -> None:
    """Two attempts, then the error."""
    intercom.switches.error_rate = 1.0
    with pytest.raises(TransientError):
        intercom.client(Lane.INTERACTIVE).me()
    assert len(intercom.paused) == 1


def test_a_request_that_creates_is_sent_once(intercom: IntercomServer) -> None:
    """A failure may come after the request was processed."""
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


def test_a_429_is_retried_even_if_the_request_creates(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """A request with a 429 was not processed."""
    mock.post(f"{ELSEWHERE}/tags", status=429, json={"errors": []}, headers={"Retry-After": "1"})
    mock.post(f"{ELSEWHERE}/tags", json={"id": "1"})
    assert client_to(ELSEWHERE, intercom.governor).request("POST", "/tags", json={}).json == {"id": "1"}


def test_every_request_has_version_and_token(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """A .netrc file and the Developer Hub do not change them."""
    mock.get(f"{ELSEWHERE}/tags", json={"data": []})
    client_to(ELSEWHERE, intercom.governor).tags()
    sent = mock.calls[0].request.headers
    assert sent["Intercom-Version"] == "2.16"
    assert sent["Authorization"] == "Bearer a-secret-token"


def test_a_user_waits_for_a_slot_once(intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each attempt."""
    waited: list[Lane] = []

    def never(_self: Governor, _app: str, _workspace_id: str, lane: Lane) -> int:
        waited.append(lane)
        raise TransientError("Not now.", 5, not_processed=True)

    monkeypatch.setattr(Governor, "acquire", never)
    with pytest.raises(TransientError):
        intercom.client(Lane.INTERACTIVE).me()
    assert waited == [Lane.INTERACTIVE]


def test_a_missing_response_is_reported_without_the_address(intercom: IntercomServer) -> None:
    """The port is closed, and the query contains an e-mail address."""
    paused: list[float] = []
    client = client_to(ELSEWHERE, intercom.governor, pause=paused.append)
    with pytest.raises(TransientError) as caught:
        client.request("POST", "/contacts", params={"email": "ada@example.test"}, json={})
    error = caught.value
    assert error.not_processed
    assert "ada" not in f"{error} {error!r} {error.__cause__}"
    assert error.__suppress_context__


def test_a_page_that_is_its_own_next_page_is_an_error(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """It does not loop."""
    mock.get(f"{ELSEWHERE}/contacts", json={"data": [], "pages": {"next": {"starting_after": "x"}}})
    with pytest.raises(TransientError, match="itself"):
        client_to(ELSEWHERE, intercom.governor).contacts_page("x")


def test_an_empty_page_is_not_the_end(mock: responses.RequestsMock, intercom: IntercomServer) -> None:
    """Only a page without a next one is the last."""
    mock.get(f"{ELSEWHERE}/contacts", json={"data": [], "pages": {"next": {"starting_after": "y"}}})
    page = client_to(ELSEWHERE, intercom.governor).contacts_page("x")
    assert (page.items, page.next) == ([], "y")


def test_me_without_a_workspace_reports_the_missing_permission(
    mock: responses.RequestsMock, intercom: IntercomServer
) -> None:
    """`app` is null if the token may not read admins."""
    mock.get(f"{ELSEWHERE}/me", json={"type": "admin", "id": "1", "app": None})
    with pytest.raises(RejectedError, match="permission"):
        client_to(ELSEWHERE, intercom.governor).me()


def test_a_code_becomes_a_token_once(intercom: IntercomServer) -> None:
    """Intercom refuses the code the second time."""
    page = oauth.authorize_url(f"{intercom.url}/us/oauth", "development", "http://127.0.0.1:8000/oauth/callback", "s")
    sent = requests.post(page, data={"workspace": WORKSPACE, "answer": "allow"}, allow_redirects=False, timeout=5)
    code = unquote(sent.headers["Location"].partition("code=")[2].partition("&")[0])
    token = oauth.exchange_code(f"{intercom.url}/us", "development", "secret", code)
    assert intercom.client(token=token).me().workspace_id == WORKSPACE
    with pytest.raises(NotAuthorizedError):
        oauth.exchange_code(f"{intercom.url}/us", "development", "secret", code)


def test_uninstalling_revokes_all_tokens(intercom: IntercomServer) -> None:
    """Uninstalling twice is not an error."""
    oauth.uninstall(f"{intercom.url}/us", TOKEN)
    with pytest.raises(NotAuthorizedError):
        intercom.client().me()
    oauth.uninstall(f"{intercom.url}/us", TOKEN)


def test_the_emulators_rate_limit_is_kept(intercom: IntercomServer) -> None:
    """The rest of the window is reserved for users; the long job waits for the next one."""
    intercom.switches.rate_limit = 120
    client = intercom.client()
    for _ in range(25):
        client.tags()
    calls = intercom.calls("/tags")
    assert calls == 25
