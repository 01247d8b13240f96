"""An action with an Idempotency-Key is done once, wherever the process dies and whatever answer is lost."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from intercom_api.errors import TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import transaction
from tests.stories.acting import User
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from webhooks.api import acting_services
from webhooks.api.auth import Caller
from workers.actions.catalogue import perform
from workers.actions.definition import ActionContext
from workers.actions.outcomes import ActionOutcome
from workers.runtime import process

WORKSPACE = "demo0001"


class DiesError(BaseException):
    """Stands for `kill -9`: nothing between here and the test catches it."""


class Fragile:
    """A client that dies, or whose answer is lost, at one kind of call."""

    def __init__(self, client: IntercomClient, at: str, when: str) -> None:
        self._client, self._at, self._when = client, at, when

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def request(self, method: str, path: str, **more: Any) -> Any:
        if f"{method} {path}" != self._at:
            return self._client.request(method, path, **more)
        if self._when == "dies before":
            raise DiesError
        if self._when == "dies sending":
            more["before_send"]()
            raise DiesError
        self._client.request(method, path, **more)
        if self._when == "dies after":
            raise DiesError
        raise TransientError("Intercom did not answer (ReadTimeout).", 1.0)


class Bench:
    """One user's actions in one workspace. `broken`: how the next clients break, if they do."""

    def __init__(self, site: EmulatedIntercom) -> None:
        User("u-1", WORKSPACE)
        self.tenant = site.intercom.workspace_apis[WORKSPACE]
        self.broken: tuple[str, str] | None = None
        self.tools: ActionContext = acting_services.tools_for(Caller("u-1", operator=False))._replace(
            client_of=self._client_of
        )
        self._whole = acting_services.tools_for(Caller("u-1", operator=False)).client_of

    def _client_of(self, workspace_id: str, lane: Lane) -> Any:
        client = self._whole(workspace_id, lane)
        assert client is not None
        return Fragile(client, *self.broken) if self.broken else client

    def do(self, name: str, given: dict[str, Any], key: str | None) -> ActionOutcome:
        return perform(self.tools, WORKSPACE, name, given, key=key)

    def die(self, name: str, given: dict[str, Any], key: str, *, at: str, when: str) -> None:
        """Have a process die with the action in hand, and its lease run out."""
        self.broken = (at, when)
        with pytest.raises(DiesError):
            self.do(name, given, key)
        self.broken = None

    def let_lease_end(self) -> None:
        with transaction(process.engine()) as connection:
            connection.execute(text("UPDATE action_keys SET lease_until = began_at"))

    def having(self, external_id: str) -> list[str]:
        """Return the ids of the contacts in Intercom that have this id of ours."""
        contacts = self.tenant.workspace.contacts.values()
        return [each.id for each in contacts if each.values["external_id"] == external_id]

    def messages_to(self, contact_id: str) -> list[str]:
        return [each.body for each in self.tenant.messages if each.contact_id == contact_id]


@pytest.fixture
def bench(site: EmulatedIntercom) -> Bench:
    return Bench(site)


@pytest.mark.parametrize("when", ["dies before", "dies sending", "dies after"])
def test_a_contact_is_created_once_wherever_it_dies(bench: Bench, fresh: str, when: str) -> None:
    """The key finds out, and answers as if nothing had happened."""
    given = {"external_id": fresh, "name": "Ada"}
    bench.die("create-contact", given, fresh, at="POST /contacts", when=when)
    busy = bench.do("create-contact", given, fresh)
    assert busy.error is not None
    assert (busy.error.code, busy.error.retry_after_seconds is not None) == ("in-progress", True)
    bench.let_lease_end()
    outcome = bench.do("create-contact", given, fresh)
    assert outcome.status == "done", outcome
    assert bench.having(fresh) == [outcome.output["contact"]["id"]]
    assert bench.do("create-contact", given, fresh) == outcome
    assert rows("SELECT name FROM contacts WHERE external_id = :it", it=fresh) == [("Ada",)]


@pytest.mark.parametrize(
    ("when", "sent", "status"),
    [
        ("dies before", 1, "done"),
        ("dies sending", 0, "unknown"),
        ("dies after", 1, "unknown"),
    ],
)
def test_a_message_is_never_sent_twice(bench: Bench, fresh: str, when: str, sent: int, status: str) -> None:
    """What may have gone out is not sent again, however often it is asked for."""
    made = bench.do("create-contact", {"external_id": fresh}, None)
    contact_id = made.output["contact"]["id"]
    given = {"contact_id": contact_id, "body": "Hello"}
    bench.die("send-message", given, fresh, at="POST /messages", when=when)
    bench.let_lease_end()
    outcomes = [bench.do("send-message", given, fresh) for _ in range(3)]
    assert {outcome.status for outcome in outcomes} == {status}
    assert len(bench.messages_to(contact_id)) == sent


def test_a_lost_answer_about_a_contact_is_looked_up(bench: Bench, fresh: str) -> None:
    """Intercom names the one that it made; it is ours if it was made since."""
    real = Fragile.request

    def once(self: Fragile, method: str, path: str, **more: Any) -> Any:
        bench.broken = None
        self._at, at = "", self._at
        self._client.request(method, path, **more)
        raise TransientError(f"The answer to {at} is lost.", 1.0)

    bench.broken = ("POST /contacts", "lost")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            Fragile,
            "request",
            lambda self, method, path, **more: (once if self._at == f"{method} {path}" else real)(
                self, method, path, **more
            ),
        )
        outcome = bench.do("create-contact", {"email": f"{fresh}@example.test"}, fresh)
    assert outcome.status == "done", outcome
    contacts = bench.tenant.workspace.contacts.values()
    assert [each.id for each in contacts if each.values["email"] == f"{fresh}@example.test"] == [
        outcome.output["contact"]["id"]
    ]


def test_an_older_twin_is_not_taken_for_ours(bench: Bench, fresh: str) -> None:
    """Whoever was there before the action began was not created by it."""
    old = bench.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    bench.tenant.workspace.contacts[old].values["created_at"] -= 3_600_000
    bench.tenant.forget_contact(old)
    bench.die("create-contact", {"external_id": fresh}, fresh, at="POST /contacts", when="dies sending")
    bench.let_lease_end()
    outcome = bench.do("create-contact", {"external_id": fresh}, fresh)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, outcome.error.more["contact_id"]) == ("failed", "contact-exists", old)


def test_a_lost_answer_about_a_nameless_lead_stays_unknown(bench: Bench, fresh: str) -> None:
    """It has nothing by which it could be recognised."""
    bench.broken = ("POST /contacts", "lost")
    before = len(bench.tenant.workspace.contacts)
    outcomes = [bench.do("create-contact", {"role": "lead"}, fresh) for _ in range(3)]
    assert [outcome.status for outcome in outcomes] == ["unknown"] * 3
    assert len(bench.tenant.workspace.contacts) == before + 1


def test_a_lost_answer_about_a_message_stays_unknown(bench: Bench, fresh: str) -> None:
    """Also at once, without a crash."""
    contact_id = bench.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    bench.broken = ("POST /messages", "lost")
    given = {"contact_id": contact_id, "body": "Hello"}
    assert [bench.do("send-message", given, fresh).status for _ in range(3)] == ["unknown"] * 3
    assert bench.messages_to(contact_id) == ["Hello"]


def test_what_intercom_did_not_take_can_be_tried_again_with_the_key(bench: Bench, fresh: str) -> None:
    """A contact that is too new for a message is no lasting answer."""
    contact_id = bench.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    given = {"contact_id": contact_id, "body": "Hello"}
    quirks = bench.tenant.switches
    quirks.message_delay_seconds = 60.0
    try:
        early = bench.do("send-message", given, fresh)
    finally:
        quirks.message_delay_seconds = 0.0
    assert early.error is not None
    assert (early.error.code, early.error.retry_after_seconds) == ("not-ready", 10.0)
    assert bench.do("send-message", given, fresh).status == "done"
    assert bench.messages_to(contact_id) == ["Hello"]


def test_a_refusal_is_remembered(bench: Bench, fresh: str) -> None:
    """The same key gets the same refusal, without asking Intercom again."""
    bench.do("create-contact", {"external_id": fresh}, None)
    first = bench.do("create-contact", {"external_id": fresh}, fresh)
    calls = sum(bench.tenant.calls.values())
    assert bench.do("create-contact", {"external_id": fresh}, fresh) == first
    assert sum(bench.tenant.calls.values()) == calls


def test_many_at_once_with_one_key_send_one_message(bench: Bench, fresh: str) -> None:
    """Whoever comes while it is under way is told so; whoever comes later gets the same answer."""
    contact_id = bench.do("create-contact", {"external_id": fresh}, None).output["contact"]["id"]
    given = {"contact_id": contact_id, "body": "Hello"}
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: bench.do("send-message", given, fresh), range(8)))
    assert bench.messages_to(contact_id) == ["Hello"]
    told = {outcome.error.code if outcome.error else outcome.output["message"]["id"] for outcome in outcomes}
    assert len(told - {"in-progress"}) == 1
