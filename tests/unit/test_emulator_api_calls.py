"""What surrounds every call to the pretend Intercom: tokens, regions, limits, mishaps; and the smaller objects."""

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
    """/me says which; without a token, or with another, the answer is 401."""
    assert api.ok("GET", "/me")["app"]["id_code"] == "demo0001"
    api.token = "something"
    assert api.refused("GET", "/me") == (401, "unauthorized")
    api.token = ""
    assert api.refused("GET", "/me") == (401, "missing_authorization")


def test_several_workspaces_are_kept_apart() -> None:
    """Each token sees its own, under its own region or the one that passes calls on."""
    ours, theirs = Api(), Api("demo0002", "EU", "Europe/Berlin")
    intercom = IntercomEmulator([ours.engine, theirs.engine])
    theirs.intercom = intercom
    user = theirs.user(name="Ada")
    assert theirs.ok("GET", "/me")["app"]["region"] == "EU"
    assert theirs.ok("GET", "/me")["app"]["timezone"] == "Europe/Berlin"
    assert theirs.answer("GET", f"/contacts/{user}", region="eu").status == 200
    assert theirs.answer("GET", f"/contacts/{user}", region="au").status == 401
    ours.intercom = intercom
    assert ours.refused("GET", f"/contacts/{user}")[0] == 404
    assert ours.answer("GET", "/me", region="eu").status == 401


class Browser:
    """Goes through the connect page as a person would."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.query = {"client_id": "development", "state": "s1", "redirect_uri": "http://127.0.0.1:8000/back?a=b"}

    def send(self, method: str, path: str, query: dict[str, str], **form: str) -> tuple[int, dict[str, str], bytes]:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = ApiRequest(method, "us", path, urlencode(query), headers, urlencode(form).encode())
        answer = self.api.intercom.respond(request)
        return answer.status, dict(answer.headers), answer.content

    def decide(self, **form: str) -> dict[str, list[str]]:
        status, headers, _ = self.send("POST", "/oauth", self.query, **form)
        assert status == 302
        return parse_qs(urlsplit(headers["Location"]).query)

    def exchange(self, code: str, secret: str = SECRET) -> tuple[int, Any]:
        form = {"code": code, "client_id": "development", "client_secret": secret}
        status, _, body = self.send("POST", "/auth/eagle/token", {}, **form)
        return status, json.loads(body)


def test_a_code_is_exchanged_once(api: Api) -> None:
    """The page leads back with code and state; the code gives a token, and no second one."""
    browser = Browser(api)
    status, headers, page = browser.send("GET", "/oauth", browser.query)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"demo0001" in page
    back = browser.decide(workspace="demo0001")
    assert (back["state"], back["a"]) == (["s1"], ["b"])
    assert browser.exchange(back["code"][0], "wrong")[0] == 401
    status, told = browser.exchange(browser.decide()["code"][0])
    assert status == 200
    assert told["token"] == told["access_token"]
    api.token = told["token"]
    assert api.ok("GET", "/me")["app"]["id_code"] == "demo0001"
    assert browser.exchange(back["code"][0])[1]["errors"] == [{"code": "unauthorized", "message": "Unauthorized Code"}]


def test_a_user_may_refuse(api: Api) -> None:
    """The way back says so, and there is no way to another machine."""
    browser = Browser(api)
    assert browser.decide(decision="cancel") == {"a": ["b"], "error": ["access_denied"], "state": ["s1"]}
    browser.query["redirect_uri"] = "https://elsewhere.example/back"
    assert browser.send("POST", "/oauth", browser.query)[0] == 400
    assert browser.send("GET", "/oauth", {"client_id": "another"})[0] == 400


def test_a_second_authorisation_may_end_the_first(api: Api) -> None:
    """Whether it does is not documented, so it has a switch."""
    browser = Browser(api)
    first, second = (browser.exchange(browser.decide()["code"][0])[1]["token"] for _ in range(2))
    api.token = first
    api.ok("GET", "/me")
    api.switches.forget_tokens = True
    browser.exchange(browser.decide()["code"][0])
    assert api.refused("GET", "/me") == (401, "token_revoked")
    api.token = second
    assert api.refused("GET", "/me") == (401, "token_revoked")


def test_the_rate_limit_counts_in_windows(api: Api) -> None:
    """A sixth of the minute's figure in ten seconds; the headers tell; then 429 until the window ends."""
    api.switches.rate_limit = 12
    api.clock.now = NOW // 10_000 * 10_000
    answers = [api.answer("GET", "/me") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert json.loads(answers[2].content)["errors"][0]["code"] == "rate_limit_exceeded"
    assert int(answers[2].headers["X-RateLimit-Reset"]) == api.clock.now // 1000 + 10
    api.clock.advance(10_000)
    assert api.answer("GET", "/me").status == 200


def test_random_failures_may_come_after_the_work(api: Api) -> None:
    """With an error rate of a half, some failed creations have made a contact, and some have not."""
    api.switches.error_rate = 0.5
    outcomes: Counter[tuple[bool, bool]] = Counter()
    for number in range(200):
        answer = api.answer("POST", "/contacts", {"external_id": f"x{number}"})
        outcomes[answer.status == 200, bool(api.topics())] += 1
    assert set(outcomes) == {(True, True), (False, True), (False, False)}


def test_bodies_may_be_empty_or_broken(api: Api) -> None:
    """Both come with a 200."""
    api.switches.empty_rate = 1.0
    assert (api.answer("GET", "/me").status, api.answer("GET", "/me").content) == (200, b"")
    api.switches.empty_rate, api.switches.broken_rate = 0.0, 1.0
    with pytest.raises(json.JSONDecodeError):
        json.loads(api.answer("GET", "/me").content)


def test_the_date_is_the_workspaces_own(api: Api) -> None:
    """Whoever reads the time off an answer reads the clock that stamps the objects."""
    assert api.answer("GET", "/me").headers["Date"] == "Wed, 18 Nov 2026 11:06:40 GMT"
    api.switches.clock_shift_seconds = 60
    assert api.answer("GET", "/me").headers["Date"] == "Wed, 18 Nov 2026 11:07:40 GMT"


@pytest.mark.parametrize(
    "wanted",
    [
        {"shoe_size": 1},
        {"error_rate": 2},
        {"scroll_lock": 1},
        {"latency_ms": "x"},
        {"version_grain": "hour"},
        {"rate_limit": -1},
    ],
)
def test_a_quirk_is_checked(api: Api, wanted: dict[str, object]) -> None:
    """A misspelt switch would silently test nothing."""
    with pytest.raises(RefusedError):
        api.intercom.change(wanted)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/nothing", None), ("PATCH", "/contacts/1", None), ("GET", "/contacts/1", None)],
)
def test_unknown_things_are_not_found(api: Api, method: str, path: str, body: object) -> None:
    """404 with an error list."""
    assert api.refused(method, path, body) == (404, "not_found")


def test_attributes_must_exist_before_they_are_written(api: Api) -> None:
    """Standard ones have no id; a created one can be written until it is archived."""
    listed = api.ok("GET", "/data_attributes", model="contact")["data"]
    assert all(("id" in one) is one["custom"] for one in listed)
    assert api.refused("GET", "/data_attributes", model="conversation")[0] == 422
    made = api.ok("POST", "/data_attributes", {"name": "colour", "model": "contact", "data_type": "string"})
    user = api.ok("POST", "/contacts", {"role": "user", "custom_attributes": {"colour": "red"}})["id"]
    api.ok("PUT", f"/data_attributes/{made['id']}", {"archived": True})
    assert api.refused("PUT", f"/contacts/{user}", {"custom_attributes": {"colour": "blue"}})[0] == 400
    names = [one["name"] for one in api.ok("GET", "/data_attributes", model="contact")["data"]]
    assert "colour" not in names
    assert len(api.ok("GET", "/data_attributes", model="contact", include_archived="true")["data"]) == len(names) + 1


def test_segments_are_computed(api: Api) -> None:
    """Membership follows the object and nobody is told; the truth says the same."""
    user = api.user(custom_attributes={"plan_tier": "gold"})
    ids = [one["id"] for one in api.ok("GET", f"/contacts/{user}/segments")["data"]]
    assert ids == api.workspace.truth()["contacts"][user]["_segment_ids"]
    counts = {one["name"]: one["count"] for one in api.ok("GET", "/segments", include_count="true")["segments"]}
    assert (counts["Signed up"], counts["Gold"], counts["Leads"]) == (1, 1, 0)


def test_messages_are_counted(api: Api) -> None:
    """Two calls are two messages; what is missing is refused; in-app is answered as inapp."""
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
    assert api.message("POST", "/messages", message | {"body": ""}) == "Body is required"
    email = message | {"message_type": "email", "template": "plain"}
    assert api.refused("POST", "/messages", email) == (422, "parameter_not_found")
    assert api.ok("POST", "/messages", email | {"subject": "Hi"})["subject"] == "Hi"
    assert api.refused("POST", "/messages", message | {"message_type": "pigeon"})[0] == 400
    assert api.refused("POST", "/messages", message | {"from": {"type": "admin", "id": 1}})[1] == "admin_not_found"
    api.switches.message_delay_seconds = 5
    assert api.refused("POST", "/messages", message)[0] == 404
    api.clock.advance(5000)
    started = api.ok("POST", "/conversations", {"from": {"type": "user", "id": user}, "body": "Help"})
    assert started["conversation_id"]
