"""Workflows from the notification to what Intercom and the application are told."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from tests.stories.flowing import Works
from workers.deliveries.http_post import PostError
from workers.prune import prune_older_than
from workers.runtime import process
from workers.workflows.engine import history, run_store
from workers.workflows.engine.execute_step import ApplicationReply

GREET = """\
name: greet
trigger: {on: contact.created, where: {role: user}}
steps:
  - id: greet
    action: send-message
    with: {contact_id: "{{ record.id }}", body: "Hello {{ record.name }}"}
"""

TELL = """\
name: tell
trigger: {on: contact.updated, changed: [phone]}
settings: [app_url, app_key]
steps:
  - id: tell
    http:
      url: "{{ settings.app_url }}/hook"
      headers: {X-Key: "{{ settings.app_key }}"}
      body: {id: "{{ record.id }}", fields: "{{ change.changed_fields }}"}
"""


@pytest.fixture
def works(site: EmulatedIntercom, tmp_path: Path) -> Iterator[Works]:
    """An empty folder, and a workspace that has been connected for a minute."""
    directory = tmp_path / "workflows"
    directory.mkdir()
    with ExitStack() as stack:
        yield Works(site, directory, stack)


def test_a_new_user_is_greeted_once(works: Works) -> None:
    """However often the feed is looked at, and the same notification arrives."""
    works.file(GREET)
    told = works.workspace.create_contact("user", {"name": "Ada"})
    for _ in range(3):
        works.hear(told)
        works.work()
    contact_id = next(each.id for each in works.workspace.contacts.values() if each.values["name"] == "Ada")
    assert works.messages_to(contact_id) == ["Hello Ada"]
    assert works.runs() == [("greet", "done")]
    step = works.steps()["greet"]
    assert (step["state"], step["attempts"], step["input"]["body"]) == ("done", 1, "Hello Ada")
    assert step["output"]["message"]["type"] == "admin_message"


def test_two_processes_that_read_the_same_lines_start_one_run(works: Works) -> None:
    """The feed may be read by many."""
    works.file(GREET)
    works.user(name="Ada")
    works.start()
    works.change("DELETE FROM feed_cursors WHERE name = 'workflows'")
    works.start()
    assert works.states() == ["queued"]


@pytest.mark.parametrize("source", ["backfill", "reconcile", "refetch"])
def test_what_a_backfill_or_reconcile_finds_starts_nothing(works: Works, source: str) -> None:
    """Not even objects that are new."""
    works.file(GREET)
    works.hear(works.workspace.create_contact("user", {"name": "Ada"}), source)
    works.work()
    assert works.runs() == []


def test_a_first_webhook_about_an_old_contact_starts_nothing(works: Works) -> None:
    """The mirror has never heard of it, but Intercom has long known it."""
    works.file(GREET)
    works.file(TELL.replace(", changed: [phone]", ""), "tell")
    works.change("UPDATE connections SET connected_at = :at", at=4_000_000_000)
    works.user(name="Ada")
    works.work()
    assert works.runs() == []


def test_ten_old_contacts_that_a_backfill_finds_and_touches_start_nothing(works: Works) -> None:
    """Nobody greets old customers by connecting."""
    works.file(GREET.replace("where: {role: user}", "sources: [webhook, write_through, refetch, backfill, reconcile]"))
    works.change("UPDATE connections SET connected_at = :at", at=4_000_000_000)
    for number in range(10):
        works.hear(works.workspace.create_contact("user", {"name": f"Old {number}"}), "backfill")
    works.work()
    assert works.runs() == []


def test_a_file_begins_with_what_changes_from_now_on(works: Works) -> None:
    """What was before it was written is not its business."""
    works.user(name="Before")
    works.file(GREET)
    works.user(name="After")
    works.work()
    assert [each[0] for each in rows("SELECT record FROM workflow_runs")] != []
    assert works.states() == ["done"]


def test_steps_name_what_earlier_ones_were_answered(works: Works) -> None:
    """A request to any address of Intercom's, a wait, a condition and a call to the application."""
    works.file("""\
name: long
trigger: {on: contact.created}
settings: [app_url, app_key]
steps:
  - id: tag
    request: {method: POST, path: /tags, body: {name: "from {{ record.role }}"}}
  - id: attach
    request: {method: POST, path: "/contacts/{{ record.id }}/tags", body: {id: "{{ steps.tag.body.id }}"}}
  - id: pause
    wait: 2 hours
  - id: gold
    when: "{{ record.role == 'lead' }}"
    condition: "{{ false }}"
  - id: tell
    http:
      url: "{{ settings.app_url }}/hook"
      headers: {Authorization: "Bearer {{ settings.app_key }}"}
      body: {tag: "{{ steps.attach.body.name }}", status: "{{ steps.attach.status }}"}
  - id: heard
    condition: "{{ steps.tell.body.ok }}"
""")
    works.user(name="Ada")
    works.work()
    assert works.states() == ["queued"]
    assert works.steps()["pause"]["state"] == "waiting"
    works.wait(7_100)
    works.work()
    assert works.told == []
    works.wait(200)
    works.work()
    assert works.states() == ["done"]
    [told] = works.told
    assert msgspec.json.decode(told["body"]) == {"tag": "from user", "status": 200}
    assert told["headers"]["Authorization"] == "Bearer s3cret-key"
    assert {name: step["state"] for name, step in works.steps().items()} == {
        "tag": "done",
        "attach": "done",
        "pause": "done",
        "gold": "skipped",
        "tell": "done",
        "heard": "done",
    }


def test_no_secret_is_kept(works: Works) -> None:
    """Neither in what was said, nor in what was answered, nor in an error."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.told.answers = [ApplicationReply(400, {"echo": "you sent s3cret-key"})]
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    works.work()
    assert works.told[0]["headers"]["X-Key"] == "s3cret-key"
    assert works.states() == ["failed"]
    for table in ("workflow_runs", "workflow_steps"):
        assert "s3cret" not in str(rows(f"SELECT * FROM {table}"))  # noqa: S608 -- ours
    assert works.steps()["tell"]["input"]["headers"]["X-Key"] == "[settings.app_key]"


def test_waiting_heals_what_it_can(works: Works) -> None:
    """An application that is restarted is asked again, with the same key."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.told.answers = [PostError("Nobody answers.", not_sent=True), ApplicationReply(503, None)]
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    works.work()
    assert works.steps()["tell"]["state"] == "retry"
    works.work()
    assert len(works.told) == 1
    for _ in range(2):
        works.wait(3_600)
        works.work()
    assert works.states() == ["done"]
    assert works.steps()["tell"]["attempts"] == 3
    assert len({told["headers"]["Idempotency-Key"] for told in works.told}) == 1


@pytest.mark.parametrize("answer", [PostError("No answer in time.", not_sent=False), ApplicationReply(500, None)])
def test_what_may_have_been_heard_is_not_said_again_by_itself(
    works: Works, answer: ApplicationReply | Exception
) -> None:
    """Unless the file says so; or a person, who has looked."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.told.answers = [answer]
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    works.work()
    works.wait(100_000)
    works.work()
    assert works.states() == ["unknown"]
    assert len(works.told) == 1
    run = rows("SELECT id FROM workflow_runs")[0][0]
    history.replay(process.engine(), run, datetime.now(UTC))
    works.work()
    assert works.states() == ["done"]
    assert len(works.told) == 2


def test_a_repeatable_step_is_said_again(works: Works) -> None:
    """The application said that it keeps the key."""
    works.file(TELL + "    repeatable: true\n")
    contact_id = works.user(name="Ada")
    works.told.answers = [PostError("No answer in time.", not_sent=False)]
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    works.work()
    works.wait(3_600)
    works.work()
    assert works.states() == ["done"]


def test_a_workflow_does_not_start_itself(works: Works) -> None:
    """Neither by the answer to its step, nor by the notification about it, nor by the message that it sends."""
    works.file("""\
name: echo
trigger: {on: contact.updated}
steps:
  - id: change
    action: update-contact
    with: {id: "{{ record.id }}", name: "{{ record.name }}!"}
""")
    works.file(GREET.replace("contact.created", "contact.updated").replace("greet", "other"), "other")
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    for _ in range(3):
        works.work()
        works.retell(contact_id)
    works.work()
    assert works.workspace.contacts[contact_id].values["name"] == "Ada!"
    assert [each for each in works.runs() if each[0] == "echo"] == [("echo", "done")]
    # The other workflow hears of what this one did.
    assert len([each for each in works.runs() if each[0] == "other"]) > 1


def test_a_workflow_that_creates_what_starts_it_does_so_once(works: Works) -> None:
    """Its own contact is no new one to it."""
    works.file("""\
name: twin
trigger: {on: contact.created}
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "twin-of-{{ record.id }}"}
""")
    contact_id = works.user(name="Ada")
    for _ in range(3):
        works.work()
        works.retell(contact_id, *works.having(f"twin-of-{contact_id}"))
    works.work()
    [twin] = works.having(f"twin-of-{contact_id}")
    assert works.having(f"twin-of-{twin}") == []
    assert works.states() == ["done"]


def test_a_notification_that_is_first_is_held_until_the_step_has_ended(works: Works) -> None:
    """Nobody can tell yet whose doing it is."""
    works.file("""\
name: twin
trigger: {on: contact.created}
settings: [app_url]
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "twin-of-{{ record.id }}"}
""")
    contact_id = works.user(name="Ada")
    client_of = works.tools.actions.client_of

    def hear_first(*given: object) -> object:
        works.hear(works.workspace.create_contact("user", {"external_id": f"twin-of-{contact_id}"}))
        works.start()
        assert works.states() == ["queued", "held"]
        return client_of(*given)  # type: ignore[arg-type]

    works.tools = works.tools._replace(actions=works.tools.actions._replace(client_of=hear_first))  # type: ignore[arg-type]
    works.begin()
    works.work()
    works.start()
    # Intercom refused a second one of that id, so the contact was somebody else's doing.
    assert works.states() == ["failed", "queued"]


def test_own_changes_start_it_where_the_file_says_so(works: Works) -> None:
    """And only until its condition is false."""
    works.file("""\
name: count
trigger: {on: contact.updated, own_changes: true, changed: [phone]}
steps:
  - id: enough
    condition: "{{ record.phone | length < 4 }}"
  - id: longer
    action: update-contact
    with: {id: "{{ record.id }}", phone: "{{ record.phone }}1"}
""")
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+1"}))
    for _ in range(6):
        works.work()
    assert works.workspace.contacts[contact_id].values["phone"] == "+111"
    assert works.states() == ["done", "done", "stopped"]


def test_a_run_ends_as_it_began_whatever_becomes_of_the_file(works: Works) -> None:
    """The text is kept with it."""
    works.file(GREET.replace("steps:\n", "steps:\n  - {id: rest, wait: 1 hour}\n"))
    contact_id = works.user(name="Ada")
    works.work()
    works.file(GREET.replace("Hello", "Goodbye"))
    works.begin()
    works.wait(4_000)
    works.work()
    assert works.messages_to(contact_id) == ["Hello Ada"]


def test_an_unknown_name_ends_the_run_and_says_which_there_are(works: Works) -> None:
    """It names names, and no values."""
    works.file(GREET.replace("record.name", "record.custom_attributes.nick"))
    works.workspace.create_contact("user", {"name": "Nobody hears of this one"})
    works.user(name="Ada")
    works.work()
    assert works.states() == ["failed"]
    error = str(works.steps()["greet"]["error"])
    assert error.startswith("body: There is no nick here; there is ")
    assert "Ada" not in error


def test_ended_runs_are_forgotten_and_open_ones_kept(works: Works) -> None:
    """After RETENTION_DAYS, with their steps and notes."""
    works.file(GREET)
    works.file(GREET.replace("greet", "later").replace("steps:\n", "steps:\n  - {id: rest, wait: 300 days}\n"), "later")
    works.user(name="Ada")
    works.work()
    works.change("UPDATE workflow_runs SET ended_at = :at WHERE ended_at IS NOT NULL", at=1_000_000_000)
    prune_older_than(process.engine(), 30, datetime.now(UTC))
    assert works.runs() == [("later", "queued")]
    assert rows("SELECT DISTINCT step FROM workflow_steps") == [("rest",)]
    assert rows("SELECT * FROM workflow_effects") == []


@pytest.mark.parametrize("event", ["contact.created", "contact.updated", "company.created", "company.updated"])
def test_each_of_the_four_triggers_starts_a_workflow(works: Works, event: str) -> None:
    """And no other one."""
    kind, _, op = event.partition(".")
    works.file(f"""\
name: heard
trigger: {{on: {event}}}
steps: [{{id: ask, request: {{path: "/{"companies" if kind == "company" else "contacts"}/{{{{ record.id }}}}"}}}}]
""")
    space = works.workspace
    contact_id = works.user(name="Ada")
    before = set(space.companies)
    works.hear(space.create_company({"company_id": f"of-{contact_id}", "name": "Acme"}))
    [company_id] = set(space.companies) - before
    works.hear(space.update_contact(contact_id, {"phone": "+353"}))
    works.hear(space.update_company(company_id, {"size": 12}))
    works.work()
    made = contact_id if kind == "contact" else company_id
    assert rows("SELECT object_id, state FROM workflow_runs") == [(made, "done")]
    assert works.steps()["ask"]["output"]["body"]["id"] == made
    assert rows("SELECT op FROM changes JOIN workflow_runs ON seq = change_seq") == [(op,)]


def test_all_five_actions_are_steps(works: Works) -> None:
    """Each can use what the ones before it were answered."""
    works.file("""\
name: five
trigger: {on: contact.created}
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "five-{{ record.id }}", name: Grace}
  - id: update
    action: update-contact
    with: {id: "{{ steps.create.contact.id }}", phone: "+35312345"}
  - id: get
    action: get-contact
    with: {id: "{{ steps.update.contact.id }}"}
  - id: search
    action: search-contacts
    with: {query: {field: id, operator: "=", value: "{{ record.id }}"}}
  - id: send
    action: send-message
    with:
      contact_id: "{{ steps.get.contact.id }}"
      body: "{{ steps.get.contact.phone }}, {{ steps.search.total_count }}"
""")
    contact_id = works.user(name="Ada")
    works.work()
    assert works.states() == ["done"], works.steps()
    [made] = works.having(f"five-{contact_id}")
    assert works.messages_to(made) == ["+35312345, 1"]
    # What the steps did is in the tables.
    assert rows("SELECT name, phone FROM contacts WHERE id = :id", id=made) == [("Grace", "+35312345")]


def test_what_a_step_was_answered_outlives_a_database_that_is_away(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written once the database is back, and the step is not said again."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    real = works.tools.post

    def then_away(*given: object) -> object:
        answer = real(*given)  # type: ignore[arg-type]
        patched.setattr(run_store, "transaction", away)
        return answer

    def away(_engine: object) -> object:
        raise OperationalError("", {}, Exception("server closed the connection"))

    works.tools = works.tools._replace(post=then_away)  # type: ignore[arg-type]
    works.begin()
    with monkeypatch.context() as patched, pytest.raises(OperationalError):
        works.work()
    works.worker.run_until(time.monotonic() + 5)
    assert works.states() == ["done"]
    assert len(works.told) == 1


def test_whoever_lost_a_run_writes_nothing_of_it(works: Works) -> None:
    """A process that slept for too long finds that another one has taken its run over."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    real = works.tools.post

    def taken_over(*given: object) -> object:
        works.change("UPDATE workflow_runs SET lease_by = 'another'")
        return real(*given)  # type: ignore[arg-type]

    works.tools = works.tools._replace(post=taken_over)  # type: ignore[arg-type]
    works.begin()
    works.work()
    assert rows("SELECT state, lease_by, position FROM workflow_runs") == [("queued", "another", 0)]
    assert works.steps()["tell"]["state"] == "started"
