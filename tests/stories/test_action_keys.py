"""An action with an Idempotency-Key is performed once, wherever the process crashes and whichever response is lost."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from intercom_api.errors import TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import transaction
from tests.stories.api_user import ApiUser
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from webhooks.api import acting_services
from webhooks.api.auth import Caller
from workers.actions.catalogue import perform
from workers.actions.definition import ActionContext
from workers.actions.outcomes import ActionOutcome
from workers.runtime import process_resources

WORKSPACE = "demo0001"


class KilledError(BaseException):
    """Simulates `kill -9`: no code between here and the test catches it."""


class FailingClient:
    """A client that is killed, or loses the response, at one kind of request."""

    def __init__(self, client: IntercomClient, at: str, when: str) -> None:
        self._client, self._at, self._when = client, at, when

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def request(self, method: str, path: str, **more: Any) -> Any:
        if f"{method} {path}" != self._at:
            return self._client.request(method, path, **more)
        if self._when == "killed before":
            raise KilledError
        if self._when == "killed while sending":
            more["before_send"]()
            raise KilledError
        self._client.request(method, path, **more)
        if self._when == "killed after":
            raise KilledError
        raise TransientError("Intercom did not respond (ReadTimeout).", 1.0)


class ActionHarness:
    """One user's actions in one workspace. `failure`: at which request the next clients fail, and how."""

    def __init__(self, site: EmulatedIntercom) -> None:
        ApiUser("u-1", WORKSPACE)
        self.tenant = site.intercom.workspace_apis[WORKSPACE]
        self.failure: tuple[str, str] | None = None
        self.tools: ActionContext = acting_services.action_context(Caller("u-1", operator=False))._replace(
            client_of=self._client_of
        )
        self._whole = acting_services.action_context(Caller("u-1", operator=False)).client_of

    def _client_of(self, workspace_id: str, lane: Lane) -> Any:
        client = self._whole(workspace_id, lane)
        assert client is not None
        return FailingClient(client, *self.failure) if self.failure else client

    def do(self, name: str, given: dict[str, Any], key: str | None) -> ActionOutcome:
        return perform(self.tools, WORKSPACE, name, given, key=key)

    def be_killed(self, name: str, given: dict[str, Any], key: str, *, at: str, when: str) -> None:
        """Perform an action as a process that is killed at this request."""
        self.failure = (at, when)
        with pytest.raises(KilledError):
            self.do(name, given, key)
        self.failure = None

    def end_leases(self) -> None:
        with transaction(process_resources.engine()) as connection:
            connection.execute(text("UPDATE action_keys SET lease_until = began_at"))

    def having(self, external_id: str) -> list[str]:
        """Return the ids of the contacts in Intercom with this external id."""
        contacts = self.tenant.workspace.contacts.values()
        return [each.id for each in contacts if each.values["external_id"] == external_id]

    def messages_to(self, contact_id: str) -> list[str]:
        return [each.body for each in self.tenant.messages if each.contact_id == contact_id]


@pytest.fixture
def harness(site: EmulatedIntercom) -> ActionHarness:
    return ActionHarness(site)


@pytest.mark.parametrize("when", ["killed before", "killed while sending", "killed after"])
def test_a_contact_is_created_once_wherever_the_process_is_killed(
    harness: ActionHarness, fresh: str, when: str
) -> None:
    """The next call with the key finds the contact and returns it."""
    given = {"external_id": fresh, "name": "Ada"}
    harness.be_killed("create-contact", given, fresh, at="POST /contacts", when=when)
    busy = harness.do("create-contact", given, fresh)
    assert busy.error is not None
    assert (busy.error.code, busy.error.retry_after_seconds is not None) == ("in-progress", True)
    harness.end_leases()
    outcome = harness.do("create-contact", given, fresh)
    assert outcome.status == "done", outcome
    assert harness.having(fresh) == [outcome.output["contact"]["id"]]
    assert harness.do("create-contact", given, fresh) == outcome
    assert rows("SELECT name FROM contacts WHERE external_id = :it", it=fresh) == [("Ada",)]


@pytest.mark.parametrize(
    ("when", "sent", "status"),
    [
        ("killed before", 1, "done"),
        ("killed while sending", 0, "unknown"),
        ("killed after", 1, "unknown"),
    ],
)
def test_a_message_is_never_sent_twice(harness: ActionHarness, fresh: str, when: str, sent: int, status: str) -> None:
    """A message that may have been sent is not sent again, however often it is requested."""
    made = harness.do("create-contact", {"external_id": fresh}, None)
    contact_id = made.output["contact"]["id"]
    given = {"contact_id": contact_id, "body": "Hello"}
    harness.be_killed("send-message", given, fresh, at="POST /messages", when=when)
    harness.end_leases()
    outcomes = [harness.do("send-message", given, fresh) for _ in range(3)]
    assert {outcome.status for outcome in outcomes} == {status}
    assert len(harness.messages_to(contact_id)) == sent


def test_after_a_lost_response_the_new_contact_is_found(harness: ActionHarness, fresh: str) -> None:
    """Intercom names the existing contact; it is ours if it was created since the first attempt."""
    real = FailingClient.request

    def once(self: FailingClient, method: str, path: str, **more: Any) -> Any:
        harness.failure = None
        self._at, at = "", self._at
        self._client.request(method, path, **more)
        raise TransientError(f"The response to {at} is lost.", 1.0)

    harness.failure = ("POST /contacts", "lost")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            FailingClient,
            "request",
            lambda self, method, path, **more: (once if self._at == f"{method} {path}" else real)(
                self, method, path, **more
            ),
        )
        outcome = harness.do("create-contact", {"email": f"{fresh}@example.test"}, fresh)
    assert outcome.status == "done", outcome
    contacts = harness.tenant.workspace.contacts.values()
    assert [each.id for each in contacts if each.values["email"] == f"{fresh}@example.test"] == [
        outcome.output["contact"]["id"]
    ]


def test_an_older_contact_is_not_taken_for_ours(harness: ActionHarness, fresh: str) -> None:
    """A contact from before the first attempt was not created by it."""
    old = harness.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    harness.tenant.workspace.contacts[old].values["created_at"] -= 3_600_000
    harness.tenant.forget_contact(old)
    harness.be_killed("create-contact", {"external_id": fresh}, fresh, at="POST /contacts", when="killed while sending")
    harness.end_leases()
    outcome = harness.do("create-contact", {"external_id": fresh}, fresh)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, outcome.error.more["contact_id"]) == ("failed", "contact-exists", old)


def test_after_a_lost_response_a_lead_without_identity_stays_unknown(harness: ActionHarness, fresh: str) -> None:
    """It has no id or address to find it by."""
    harness.failure = ("POST /contacts", "lost")
    before = len(harness.tenant.workspace.contacts)
    outcomes = [harness.do("create-contact", {"role": "lead"}, fresh) for _ in range(3)]
    assert [outcome.status for outcome in outcomes] == ["unknown"] * 3
    assert len(harness.tenant.workspace.contacts) == before + 1


def test_after_a_lost_response_a_message_stays_unknown(harness: ActionHarness, fresh: str) -> None:
    """Without a crash too."""
    contact_id = harness.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    harness.failure = ("POST /messages", "lost")
    given = {"contact_id": contact_id, "body": "Hello"}
    assert [harness.do("send-message", given, fresh).status for _ in range(3)] == ["unknown"] * 3
    assert harness.messages_to(contact_id) == ["Hello"]


def test_a_temporary_refusal_frees_the_key(harness: ActionHarness, fresh: str) -> None:
    """A contact that is too new for a message will accept it later."""
    contact_id = harness.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    given = {"contact_id": contact_id, "body": "Hello"}
    quirks = harness.tenant.switches
    quirks.message_delay_seconds = 60.0
    try:
        early = harness.do("send-message", given, fresh)
    finally:
        quirks.message_delay_seconds = 0.0
    assert early.error is not None
    assert (early.error.code, early.error.retry_after_seconds) == ("not-ready", 10.0)
    assert harness.do("send-message", given, fresh).status == "done"
    assert harness.messages_to(contact_id) == ["Hello"]


def test_a_final_refusal_is_stored(harness: ActionHarness, fresh: str) -> None:
    """The same key has the same refusal, without a request to Intercom."""
    harness.do("create-contact", {"external_id": fresh}, None)
    first = harness.do("create-contact", {"external_id": fresh}, fresh)
    calls = sum(harness.tenant.calls.values())
    assert harness.do("create-contact", {"external_id": fresh}, fresh) == first
    assert sum(harness.tenant.calls.values()) == calls


def test_concurrent_calls_with_one_key_send_one_message(harness: ActionHarness, fresh: str) -> None:
    """Calls during the first one get "in-progress"; later ones get its outcome."""
    contact_id = harness.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    given = {"contact_id": contact_id, "body": "Hello"}
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: harness.do("send-message", given, fresh), range(8)))
    assert harness.messages_to(contact_id) == ["Hello"]
    results = {outcome.error.code if outcome.error else outcome.output["message"]["id"] for outcome in outcomes}
    assert len(results - {"in-progress"}) == 1
