"""`intercom_api.http.replies`: every response becomes a reply or an error with a remedy."""

import json
from email.utils import formatdate
from typing import Any

import pytest
import requests

from intercom_api.errors import (
    ConflictError,
    IntercomError,
    MergedError,
    NotAuthorizedError,
    NotFoundError,
    PermanentError,
    RejectedError,
    ScrollRequiredError,
    TransientError,
)
from intercom_api.http.regions import REGIONS, resolve_hosts
from intercom_api.http.replies import Reply, parse

AT = 1_795_000_000
PERSON = "ada@example.test"


def answer(status: int, body: Any = None, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.headers.update({"Date": formatdate(AT, usegmt=True)} | headers)
    response.url = f"https://api.intercom.io/contacts?email={PERSON}"
    return response


def refusal(code: str, request_id: str | None = "req-1") -> dict[str, Any]:
    entry = {"code": code, "message": f"A contact with {PERSON} exists already with id=1"}
    return {"type": "error.list", "request_id": request_id, "errors": [entry]}


def error_of(status: int, body: Any = None, **headers: str) -> IntercomError:
    with pytest.raises(IntercomError) as caught:
        parse(answer(status, body, **headers), 0.5)
    return caught.value


def test_a_reply_is_as_old_as_its_request() -> None:
    """A change during the request may be missing in the reply."""
    reply = parse(answer(200, {"id": "1"}, **{"X-Request-Id": "req-9"}), 0.25)
    assert isinstance(reply, Reply)
    assert (reply.json, reply.as_of_ms, reply.request_id) == ({"id": "1"}, AT * 1000 - 250, "req-9")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "parameter_invalid", RejectedError),
        (401, "unauthorized", NotAuthorizedError),
        (401, "token_revoked", NotAuthorizedError),
        (401, "token_suspended", NotAuthorizedError),
        (402, "api_plan_restricted", RejectedError),
        (403, "api_plan_restricted", RejectedError),
        (403, "token_unauthorized", RejectedError),
        (404, "not_found", NotFoundError),
        (404, "company_not_found", NotFoundError),
        (408, "timeout", TransientError),
        (409, "conflict", ConflictError),
        (410, "contact_merged", NotFoundError),
        (422, "parameter_not_found", RejectedError),
        (429, "rate_limit_exceeded", TransientError),
        (500, "server_error", TransientError),
        (503, "service_unavailable", TransientError),
        (599, "unheard_of", TransientError),
        (499, "unheard_of", RejectedError),
    ],
)
def test_each_refusal_has_its_class(status: int, code: str, kind: type[IntercomError]) -> None:
    """The class decides whether waiting helps."""
    error = error_of(status, refusal(code))
    assert type(error) is kind
    assert error.request_id == "req-1"  # type: ignore[attr-defined]
    assert isinstance(error, PermanentError | TransientError)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 429, 500])
def test_no_error_repeats_the_content_of_a_response(status: int) -> None:
    """Intercom's own messages contain ids and e-mail addresses, and so may an invalid code."""
    for body in (refusal("conflict"), refusal(PERSON, PERSON), PERSON.encode(), {"errors": [PERSON]}):
        error = error_of(status, body)
        assert "ada" not in f"{error} {error!r} {vars(error)}"
        assert "api.intercom.io" not in f"{error} {vars(error)}"


def test_a_missing_permission_has_a_remedy() -> None:
    """The message has the remedy."""
    assert "Developer Hub" in str(error_of(403, refusal("action_forbidden")))
    assert "plan" in str(error_of(403, refusal("api_plan_restricted")))
    assert "INTERCOM_VERSION" in str(error_of(400, refusal("intercom_version_invalid")))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"<html></html>", b"\xff\xfe"])
def test_a_2xx_with_a_bad_body_is_a_transient_error(body: bytes) -> None:
    """An empty page must not be taken for the last one."""
    assert isinstance(error_of(200, body), TransientError)


def test_an_accepted_request_needs_no_body() -> None:
    """The status 202 or 204 is sufficient."""
    assert parse(answer(202, b""), 0.1).json == {}
    assert parse(answer(204, b""), 0.1).json == {}


def test_a_redirect_is_not_followed() -> None:
    """It would send the token to another host."""
    assert isinstance(error_of(302, b"", Location="https://elsewhere.test/"), RejectedError)


@pytest.mark.parametrize("address", ["/contacts/c9", "https://api.intercom.io/contacts/c9", "/contacts/c9/"])
def test_a_merged_error_has_the_remaining_contact(address: str) -> None:
    """The id is in the Link header."""
    error = error_of(410, refusal("contact_merged"), Link=f'<{address}>; rel="canonical"')
    assert isinstance(error, MergedError)
    assert (error.into, error.as_of_ms) == ("c9", AT * 1000 - 500)


@pytest.mark.parametrize(
    "link", ["", "</contacts/>; rel=canonical", "</companies/c9>; rel=canonical", "</contacts/c9>"]
)
def test_a_merged_contact_without_a_link_is_not_found(link: str) -> None:
    """An invalid link gives no id."""
    assert type(error_of(410, refusal("contact_merged"), Link=link)) is NotFoundError


def test_a_404_of_another_server_is_not_a_missing_object() -> None:
    """A wrong address or a proxy's error page does not delete the object."""
    error = error_of(404, b"<html>Not here</html>")
    assert isinstance(error, RejectedError)
    assert "INTERCOM_API_URL" in str(error)


def test_the_page_limit_of_companies_is_recognized_by_its_message() -> None:
    """Its error code is that of any bad request."""
    body = {"type": "error.list", "errors": [{"code": "bad_request", "message": "page limit reached, use scroll API"}]}
    assert isinstance(error_of(400, body), ScrollRequiredError)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("900000", 300.0), ("Tue, 24 Nov 2026", 1.0), ("-1", 1.0)])
def test_retry_after_is_respected(value: str, seconds: float) -> None:
    """Up to a maximum."""
    error = error_of(503, refusal("service_unavailable"), **{"Retry-After": value})
    assert isinstance(error, TransientError)
    assert error.retry_after_seconds == seconds


def test_nul_characters_are_replaced() -> None:
    """PostgreSQL cannot store them."""
    assert parse(answer(200, {"na\0me": ["a\0b"]}), 0.1).json == {"na\ufffdme": ["a\ufffdb"]}


def test_only_a_429_is_certainly_not_processed() -> None:
    """A 5xx may be sent after the request was processed."""
    assert error_of(429).not_processed  # type: ignore[attr-defined]
    assert not error_of(500).not_processed  # type: ignore[attr-defined]


def test_regions_have_hosts_of_their_own() -> None:
    """Intercom's, the emulator's, or one for all regions."""
    assert resolve_hosts("", None).api_base("EU") == "https://api.eu.intercom.io"
    assert resolve_hosts("", None).api_base(None) == "https://api.intercom.io"
    assert resolve_hosts("", None).authorize_base("AU") == "https://app.au.intercom.com/oauth"
    assert resolve_hosts("", 8001).api_base("AU") == "http://127.0.0.1:8001/au"
    assert resolve_hosts("", 8001).authorize_base() == "http://127.0.0.1:8001/us/oauth"
    assert {resolve_hosts("https://proxy.test/", None).api_base(region) for region in REGIONS} == {"https://proxy.test"}


@pytest.mark.parametrize(
    ("text", "existing_id", "archived"),
    [
        ("A contact matching those details already exists with id=665000000000", "665000000000", False),
        ("An archived contact matching those details already exists with id=66a", "66a", True),
        ("Something else", None, False),
    ],
)
def test_a_conflict_has_the_id_of_the_existing_contact(text: str, existing_id: str | None, archived: bool) -> None:  # noqa: FBT001 -- a case
    """The id is only in the message."""
    error = error_of(409, {"type": "error.list", "errors": [{"code": "conflict", "message": text}]})
    assert isinstance(error, ConflictError)
    assert (error.existing_id, error.archived) == (existing_id, archived)
