"""Tokens, regions, limits and faults of the emulated API; attributes, segments and messages."""

import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from emulator.api.api_request import ApiRequest
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.errors import RefusedError
from tests.emulator_api import NOW, SECRET, Api


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_token_is_for_one_workspace(api: Api) -> None:
    """/me returns the workspace; without a token, or with another, the response is a 401."""
    assert api.ok("GET", "/me")["app"]["id_code"] == "demo0001"
    api.token = "something"
    assert api.error("GET", "/me") == (401, "unauthorized")
    api.token = ""
    assert api.error("GET", "/me") == (401, "missing_authorization")


def test_workspaces_are_isolated() -> None:
    """Each token gives access to its own workspace, in its own region or the US, which forwards calls."""
    ours, theirs = Api(), Api("demo0002", "EU", "Europe/Berlin")
    intercom = IntercomEmulator([ours.simulation, theirs.simulation])
    theirs.intercom = intercom
    user = theirs.user(name="Ada")
    assert theirs.ok("GET", "/me")["app"]["region"] == "EU"
    assert theirs.ok("GET", "/me")["app"]["timezone"] == "Europe/Berlin"
    assert theirs.call("GET", f"/contacts/{user}", region="eu").status == 200
    assert theirs.call("GET", f"/contacts/{user}", region="au").status == 401
    ours.intercom = intercom
    assert ours.error("GET", f"/contacts/{user}")[0] == 404
    assert ours.call("GET", "/me", region="eu").status == 401


class Browser:
    """Uses the connect page as a person does."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.query = {"client_id": "development", "state": "s1", "redirect_uri": "http://127.0.0.1:8000/back?a=b"}

    def send(self, method: str, path: str, query: dict[str, str], **form: str) -> tuple[int, dict[str, str], bytes]:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = ApiRequest(method, "us", path, urlencode(query), headers, urlencode(form).encode())
        response = self.api.intercom.respond(request)
        return response.status, dict(response.headers), response.content

    def decide(self, **form: str) -> dict[str, list[str]]:
        status, headers, _ = self.send("POST", "/oauth", self.query, **form)
        assert status == 302
        return parse_qs(urlsplit(headers["Location"]).query)

    def exchange(self, code: str, secret: str = SECRET) -> tuple[int, Any]:
        form = {"code": code, "client_id": "development", "client_secret": secret}
        status, _, body = self.send("POST", "/auth/eagle/token", {}, **form)
        return status, json.loads(body)


def test_a_code_is_exchanged_once(api: Api) -> None:
    """The page redirects with code and state; the code gives one token."""
    browser = Browser(api)
    status, headers, page = browser.send("GET", "/oauth", browser.query)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"demo0001" in page
    back = browser.decide(workspace="demo0001")
    assert (back["state"], back["a"]) == (["s1"], ["b"])
    assert browser.exchange(back["code"][0], "wrong")[0] == 401
    status, token = browser.exchange(browser.decide()["code"][0])
    assert status == 200
    assert token["token"] == token["access_token"]
    api.token = token["token"]
    assert api.ok("GET", "/me")["app"]["id_code"] == "demo0001"
    assert browser.exchange(back["code"][0])[1]["errors"] == [{"code": "unauthorized", "message": "Unauthorized Code"}]


def test_a_user_can_cancel(api: Api) -> None:
    """The redirect contains the error; a redirect to another machine is refused."""
    browser = Browser(api)
    assert browser.decide(decision="cancel") == {"a": ["b"], "error": ["access_denied"], "state": ["s1"]}
    browser.query["redirect_uri"] = "https://elsewhere.example/back"
    assert browser.send("POST", "/oauth", browser.query)[0] == 400
    assert browser.send("GET", "/oauth", {"client_id": "another"})[0] == 400


def test_a_second_authorisation_can_revoke_the_first(api: Api) -> None:
    """Intercom does not document whether it does, so it has a switch."""
    browser = Browser(api)
    first, second = (browser.exchange(browser.decide()["code"][0])[1]["token"] for _ in range(2))
    api.token = first
    api.ok("GET", "/me")
    api.switches.forget_tokens = True
    browser.exchange(browser.decide()["code"][0])
    assert api.error("GET", "/me") == (401, "token_revoked")
    api.token = second
    assert api.error("GET", "/me") == (401, "token_revoked")


def test_the_rate_limit_counts_in_windows(api: Api) -> None:
    """Each ten seconds have a sixth of the limit per minute, shown in the headers; then 429 until the window ends."""
    api.switches.rate_limit = 12
    api.clock.now = NOW // 10_000 * 10_000
    responses = [api.call("GET", "/me") for _ in range(3)]
    assert [response.status for response in responses] == [200, 200, 429]
    assert [response.headers["X-RateLimit-Remaining"] for response in responses] == ["1", "0", "0"]
    assert json.loads(responses[2].content)["errors"][0]["code"] == "rate_limit_exceeded"
    assert int(responses[2].headers["X-RateLimit-Reset"]) == api.clock.now // 1000 + 10
    api.clock.advance(10_000)
    assert api.call("GET", "/me").status == 200


def test_random_failures_can_follow_the_work(api: Api) -> None:
    """With an error rate of 0.5, some failed creations have created a contact, and some have not."""
    api.switches.error_rate = 0.5
    outcomes: Counter[tuple[bool, bool]] = Counter()
    for number in range(200):
        response = api.call("POST", "/contacts", {"external_id": f"x{number}"})
        outcomes[response.status == 200, bool(api.topics())] += 1
    assert set(outcomes) == {(True, True), (False, True), (False, False)}


def test_bodies_can_be_empty_or_truncated(api: Api) -> None:
    """Both come with a 200."""
    api.switches.empty_rate = 1.0
    assert (api.call("GET", "/me").status, api.call("GET", "/me").content) == (200, b"")
    api.switches.empty_rate, api.switches.broken_rate = 0.0, 1.0
    with pytest.raises(json.JSONDecodeError):
        json.loads(api.call("GET", "/me").content)


def test_the_date_header_has_the_time_of_the_workspace(api: Api) -> None:
    """The header has the clock that objects are stamped with."""
    assert api.call("GET", "/me").headers["Date"] == "Wed, 18 Nov 2026 11:06:40 GMT"
    api.switches.clock_shift_seconds = 60
    assert api.call("GET", "/me").headers["Date"] == "Wed, 18 Nov 2026 11:07:40 GMT"


@pytest.mark.parametrize(
    "changes",
    [
        {"shoe_size": 1},
        {"error_rate": 2},
        {"scroll_lock": 1},
        {"latency_ms": "x"},
        {"version_grain": "hour"},
        {"rate_limit": -1},
    ],
)
def test_switches_are_validated(api: Api, changes: dict[str, object]) -> None:
    """A misspelt switch would have no effect without notice."""
    with pytest.raises(RefusedError):
        api.intercom.change(changes)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/nothing", None), ("PATCH", "/contacts/1", None), ("GET", "/contacts/1", None)],
)
def test_unknown_routes_and_objects_are_not_found(api: Api, method: str, path: str, body: object) -> None:
    """404 with an error list."""
    assert api.error(method, path, body) == (404, "not_found")


def test_attributes_must_exist_before_values_are_set(api: Api) -> None:
    """Standard ones have no id; a created one accepts values until it is archived."""
    listed = api.ok("GET", "/data_attributes", model="contact")["data"]
    assert all(("id" in each) is each["custom"] for each in listed)
    assert api.error("GET", "/data_attributes", model="conversation")[0] == 422
    made = api.ok("POST", "/data_attributes", {"name": "colour", "model": "contact", "data_type": "string"})
    user = api.ok("POST", "/contacts", {"role": "user", "custom_attributes": {"colour": "red"}})["id"]
    api.ok("PUT", f"/data_attributes/{made['id']}", {"archived": True})
    assert api.error("PUT", f"/contacts/{user}", {"custom_attributes": {"colour": "blue"}})[0] == 400
    names = [each["name"] for each in api.ok("GET", "/data_attributes", model="contact")["data"]]
    assert "colour" not in names
    assert len(api.ok("GET", "/data_attributes", model="contact", include_archived="true")["data"]) == len(names) + 1


def test_segments_are_computed(api: Api) -> None:
    """Membership follows the object without a notification, and equals the true content."""
    user = api.user(custom_attributes={"plan_tier": "gold"})
    ids = [each["id"] for each in api.ok("GET", f"/contacts/{user}/segments")["data"]]
    assert ids == api.workspace.truth()["contacts"][user]["_segment_ids"]
    counts = {each["name"]: each["count"] for each in api.ok("GET", "/segments", include_count="true")["segments"]}
    assert (counts["Signed up"], counts["Gold"], counts["Leads"]) == (1, 1, 0)


def test_messages_are_counted(api: Api) -> None:
    """Two calls send two messages; missing fields are refused; the response calls in_app inapp."""
    user = api.user(name="Ada")
    message = {
        "message_type": "in_app",
        "body": "Hello",
        "from": {"type": "admin", "id": 7_450_231},
        "to": {"type": "user", "id": user},
    }
    first, second = (api.ok("POST", "/messages", message) for _ in range(2))
    assert first["message_type"] == "inapp"
    assert first["id"] != second["id"]
    assert [sent.body for sent in api.intercom.workspace_apis["demo0001"].messages] == ["Hello", "Hello"]
    assert api.error_message("POST", "/messages", message | {"body": ""}) == "Body is required"
    email = message | {"message_type": "email", "template": "plain"}
    assert api.error("POST", "/messages", email) == (422, "parameter_not_found")
    assert api.ok("POST", "/messages", email | {"subject": "Hi"})["subject"] == "Hi"
    assert api.error("POST", "/messages", message | {"message_type": "pigeon"})[0] == 400
    assert api.error("POST", "/messages", message | {"from": {"type": "admin", "id": 1}})[1] == "admin_not_found"
    api.switches.message_delay_seconds = 5
    assert api.error("POST", "/messages", message)[0] == 404
    api.clock.advance(5000)
    started = api.ok("POST", "/conversations", {"from": {"type": "user", "id": user}, "body": "Help"})
    assert started["conversation_id"]
