"""Workflows from the notification to the requests to Intercom and the application."""

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
from tests.stories.workflow_harness import WorkflowHarness
from workers.deliveries.http_post import PostError
from workers.prune import prune_older_than
from workers.runtime import process_resources
from workers.workflows.engine import manage_runs, run_store
from workers.workflows.engine.execute_step import ApplicationReply

GREET = """\
name: greet
trigger: {on: contact.created, where: {role: user}}
steps:
  - id: greet
    action: send-message
    with: {contact_id: "{{ record.id }}", body: "Hello {{ record.name }}"}
"""

NOTIFY = """\
name: notify
trigger: {on: contact.updated, changed: [phone]}
settings: [app_url, app_key]
steps:
  - id: notify
    http:
      url: "{{ settings.app_url }}/hook"
      headers: {X-Key: "{{ settings.app_key }}"}
      body: {id: "{{ record.id }}", fields: "{{ change.changed_fields }}"}
"""


@pytest.fixture
def harness(site: EmulatedIntercom, tmp_path: Path) -> Iterator[WorkflowHarness]:
    """An empty directory of workflows, and a workspace that has been connected for a minute."""
    directory = tmp_path / "workflows"
    directory.mkdir()
    with ExitStack() as stack:
        yield WorkflowHarness(site, directory, stack)


def test_a_new_user_is_greeted_once(harness: WorkflowHarness) -> None:
    """However often the feed is read, and the same notification arrives."""
    harness.write_file(GREET)
    notifications = harness.workspace.create_contact("user", {"name": "Ada"})
    for _ in range(3):
        harness.receive(notifications)
        harness.work()
    contact_id = next(each.id for each in harness.workspace.contacts.values() if each.values["name"] == "Ada")
    assert harness.messages_to(contact_id) == ["Hello Ada"]
    assert harness.runs() == [("greet", "done")]
    step = harness.steps()["greet"]
    assert (step["state"], step["attempts"], step["input"]["body"]) == ("done", 1, "Hello Ada")
    assert step["output"]["message"]["type"] == "admin_message"


def test_two_processes_that_read_the_same_changes_start_one_run(harness: WorkflowHarness) -> None:
    """A run is unique by workflow and change."""
    harness.write_file(GREET)
    harness.create_user(name="Ada")
    harness.start_runs()
    harness.execute("DELETE FROM feed_cursors WHERE name = 'workflows'")
    harness.start_runs()
    assert harness.states() == ["queued"]


@pytest.mark.parametrize("source", ["backfill", "reconcile", "refetch"])
def test_changes_found_by_a_backfill_or_reconcile_start_nothing(harness: WorkflowHarness, source: str) -> None:
    """Even if the object is new."""
    harness.write_file(GREET)
    harness.receive(harness.workspace.create_contact("user", {"name": "Ada"}), source)
    harness.work()
    assert harness.runs() == []


def test_a_first_webhook_about_an_old_contact_starts_nothing(harness: WorkflowHarness) -> None:
    """It is new to the mirror, but not to Intercom."""
    harness.write_file(GREET)
    harness.write_file(NOTIFY.replace(", changed: [phone]", ""), "notify")
    harness.execute("UPDATE connections SET connected_at = :at", at=4_000_000_000)
    harness.create_user(name="Ada")
    harness.work()
    assert harness.runs() == []


def test_old_contacts_found_by_a_backfill_start_nothing(harness: WorkflowHarness) -> None:
    """Even if the file names all sources: connecting a workspace must not greet its old contacts."""
    harness.write_file(
        GREET.replace("where: {role: user}", "sources: [webhook, write_through, refetch, backfill, reconcile]")
    )
    harness.execute("UPDATE connections SET connected_at = :at", at=4_000_000_000)
    for number in range(10):
        harness.receive(harness.workspace.create_contact("user", {"name": f"Old {number}"}), "backfill")
    harness.work()
    assert harness.runs() == []


def test_a_workflow_begins_with_the_changes_after_its_file_was_read(harness: WorkflowHarness) -> None:
    """Earlier changes start nothing."""
    harness.create_user(name="Before")
    harness.write_file(GREET)
    harness.create_user(name="After")
    harness.work()
    assert [each[0] for each in rows("SELECT record FROM workflow_runs")] != []
    assert harness.states() == ["done"]


def test_steps_use_the_results_of_earlier_steps(harness: WorkflowHarness) -> None:
    """A request to any path of Intercom, a wait, a condition, and a request to the application."""
    harness.write_file("""\
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
  - id: notify
    http:
      url: "{{ settings.app_url }}/hook"
      headers: {Authorization: "Bearer {{ settings.app_key }}"}
      body: {tag: "{{ steps.attach.body.name }}", status: "{{ steps.attach.status }}"}
  - id: accepted
    condition: "{{ steps.notify.body.ok }}"
""")
    harness.create_user(name="Ada")
    harness.work()
    assert harness.states() == ["queued"]
    assert harness.steps()["pause"]["state"] == "waiting"
    harness.advance_clock(7_100)
    harness.work()
    assert harness.application == []
    harness.advance_clock(200)
    harness.work()
    assert harness.states() == ["done"]
    [request] = harness.application
    assert msgspec.json.decode(request["body"]) == {"tag": "from user", "status": 200}
    assert request["headers"]["Authorization"] == "Bearer s3cret-key"
    assert {name: step["state"] for name, step in harness.steps().items()} == {
        "tag": "done",
        "attach": "done",
        "pause": "done",
        "gold": "skipped",
        "notify": "done",
        "accepted": "done",
    }


def test_no_secret_is_stored(harness: WorkflowHarness) -> None:
    """Neither in an input, nor in an output, nor in an error."""
    harness.write_file(NOTIFY)
    contact_id = harness.create_user(name="Ada")
    harness.application.replies = [ApplicationReply(400, {"echo": "you sent s3cret-key"})]
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+353"}))
    harness.work()
    assert harness.application[0]["headers"]["X-Key"] == "s3cret-key"
    assert harness.states() == ["failed"]
    for table in ("workflow_runs", "workflow_steps"):
        assert "s3cret" not in str(rows(f"SELECT * FROM {table}"))  # noqa: S608 -- ours
    assert harness.steps()["notify"]["input"]["headers"]["X-Key"] == "[settings.app_key]"


def test_an_application_that_is_unavailable_is_called_again_later(harness: WorkflowHarness) -> None:
    """With the same key, until it responds."""
    harness.write_file(NOTIFY)
    contact_id = harness.create_user(name="Ada")
    harness.application.replies = [
        PostError("No server accepts connections.", not_sent=True),
        ApplicationReply(503, None),
    ]
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+353"}))
    harness.work()
    assert harness.steps()["notify"]["state"] == "retry"
    harness.work()
    assert len(harness.application) == 1
    for _ in range(2):
        harness.advance_clock(3_600)
        harness.work()
    assert harness.states() == ["done"]
    assert harness.steps()["notify"]["attempts"] == 3
    assert len({each["headers"]["Idempotency-Key"] for each in harness.application}) == 1


@pytest.mark.parametrize(
    "reply", [PostError("The server did not respond.", not_sent=False), ApplicationReply(500, None)]
)
def test_a_request_that_may_have_been_received_is_not_repeated(
    harness: WorkflowHarness, reply: ApplicationReply | Exception
) -> None:
    """Unless a user who has checked replays the run."""
    harness.write_file(NOTIFY)
    contact_id = harness.create_user(name="Ada")
    harness.application.replies = [reply]
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+353"}))
    harness.work()
    harness.advance_clock(100_000)
    harness.work()
    assert harness.states() == ["unknown"]
    assert len(harness.application) == 1
    run = rows("SELECT id FROM workflow_runs")[0][0]
    manage_runs.replay(process_resources.engine(), run, datetime.now(UTC))
    harness.work()
    assert harness.states() == ["done"]
    assert len(harness.application) == 2


def test_a_repeatable_step_is_repeated(harness: WorkflowHarness) -> None:
    """`repeatable: true` says that the application recognises the key."""
    harness.write_file(NOTIFY + "    repeatable: true\n")
    contact_id = harness.create_user(name="Ada")
    harness.application.replies = [PostError("The server did not respond.", not_sent=False)]
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+353"}))
    harness.work()
    harness.advance_clock(3_600)
    harness.work()
    assert harness.states() == ["done"]


def test_a_workflow_does_not_start_itself(harness: WorkflowHarness) -> None:
    """Neither by the response to its step, nor by the notification about it, nor by the message that it sends."""
    harness.write_file("""\
name: echo
trigger: {on: contact.updated}
steps:
  - id: change
    action: update-contact
    with: {id: "{{ record.id }}", name: "{{ record.name }}!"}
""")
    harness.write_file(GREET.replace("contact.created", "contact.updated").replace("greet", "other"), "other")
    contact_id = harness.create_user(name="Ada")
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+353"}))
    for _ in range(3):
        harness.work()
        harness.resend(contact_id)
    harness.work()
    assert harness.workspace.contacts[contact_id].values["name"] == "Ada!"
    assert [each for each in harness.runs() if each[0] == "echo"] == [("echo", "done")]
    # The changes of one workflow start the other.
    assert len([each for each in harness.runs() if each[0] == "other"]) > 1


def test_a_workflow_that_creates_contacts_does_not_start_itself(harness: WorkflowHarness) -> None:
    """A contact that it created starts no run of it."""
    harness.write_file("""\
name: twin
trigger: {on: contact.created}
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "twin-of-{{ record.id }}"}
""")
    contact_id = harness.create_user(name="Ada")
    for _ in range(3):
        harness.work()
        harness.resend(contact_id, *harness.contacts_with(f"twin-of-{contact_id}"))
    harness.work()
    [twin] = harness.contacts_with(f"twin-of-{contact_id}")
    assert harness.contacts_with(f"twin-of-{twin}") == []
    assert harness.states() == ["done"]


def test_a_run_is_held_while_a_step_may_have_made_the_change(harness: WorkflowHarness) -> None:
    """The notification arrives before the response; only the end of the step decides."""
    harness.write_file("""\
name: twin
trigger: {on: contact.created}
settings: [app_url]
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "twin-of-{{ record.id }}"}
""")
    contact_id = harness.create_user(name="Ada")
    client_of = harness.context.actions.client_of

    def notify_first(*arguments: object) -> object:
        harness.receive(harness.workspace.create_contact("user", {"external_id": f"twin-of-{contact_id}"}))
        harness.start_runs()
        assert harness.states() == ["queued", "held"]
        return client_of(*arguments)  # type: ignore[arg-type]

    harness.context = harness.context._replace(actions=harness.context.actions._replace(client_of=notify_first))  # type: ignore[arg-type]
    harness.start_process()
    harness.work()
    harness.start_runs()
    # Intercom refused a second contact with this id, so the workflow did not create the first.
    assert harness.states() == ["failed", "queued"]


def test_own_changes_start_a_workflow_if_the_file_allows_it(harness: WorkflowHarness) -> None:
    """Until its condition is false."""
    harness.write_file("""\
name: count
trigger: {on: contact.updated, own_changes: true, changed: [phone]}
steps:
  - id: enough
    condition: "{{ record.phone | length < 4 }}"
  - id: longer
    action: update-contact
    with: {id: "{{ record.id }}", phone: "{{ record.phone }}1"}
""")
    contact_id = harness.create_user(name="Ada")
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+1"}))
    for _ in range(6):
        harness.work()
    assert harness.workspace.contacts[contact_id].values["phone"] == "+111"
    assert harness.states() == ["done", "done", "stopped"]


def test_a_run_follows_the_file_that_it_started_with(harness: WorkflowHarness) -> None:
    """The text of the file is stored."""
    harness.write_file(GREET.replace("steps:\n", "steps:\n  - {id: rest, wait: 1 hour}\n"))
    contact_id = harness.create_user(name="Ada")
    harness.work()
    harness.write_file(GREET.replace("Hello", "Goodbye"))
    harness.start_process()
    harness.advance_clock(4_000)
    harness.work()
    assert harness.messages_to(contact_id) == ["Hello Ada"]


def test_an_unknown_name_fails_the_run_with_the_known_names(harness: WorkflowHarness) -> None:
    """The error contains names and no values."""
    harness.write_file(GREET.replace("record.name", "record.custom_attributes.nick"))
    harness.workspace.create_contact("user", {"name": "Not in the mirror"})
    harness.create_user(name="Ada")
    harness.work()
    assert harness.states() == ["failed"]
    error = str(harness.steps()["greet"]["error"])
    assert error.startswith("body: Unknown name nick; known names: ")
    assert "Ada" not in error


def test_ended_runs_are_deleted_and_open_ones_kept(harness: WorkflowHarness) -> None:
    """After RETENTION_DAYS, with their steps and effects."""
    harness.write_file(GREET)
    harness.write_file(
        GREET.replace("greet", "later").replace("steps:\n", "steps:\n  - {id: rest, wait: 300 days}\n"), "later"
    )
    harness.create_user(name="Ada")
    harness.work()
    harness.execute("UPDATE workflow_runs SET ended_at = :at WHERE ended_at IS NOT NULL", at=1_000_000_000)
    prune_older_than(process_resources.engine(), 30, datetime.now(UTC))
    assert harness.runs() == [("later", "queued")]
    assert rows("SELECT DISTINCT step FROM workflow_steps") == [("rest",)]
    assert rows("SELECT * FROM workflow_effects") == []


@pytest.mark.parametrize("event", ["contact.created", "contact.updated", "company.created", "company.updated"])
def test_each_of_the_four_triggers_starts_a_workflow(harness: WorkflowHarness, event: str) -> None:
    """And no other event does."""
    kind, _, op = event.partition(".")
    harness.write_file(f"""\
name: record
trigger: {{on: {event}}}
steps: [{{id: fetch, request: {{path: "/{"companies" if kind == "company" else "contacts"}/{{{{ record.id }}}}"}}}}]
""")
    space = harness.workspace
    contact_id = harness.create_user(name="Ada")
    before = set(space.companies)
    harness.receive(space.create_company({"company_id": f"of-{contact_id}", "name": "Acme"}))
    [company_id] = set(space.companies) - before
    harness.receive(space.update_contact(contact_id, {"phone": "+353"}))
    harness.receive(space.update_company(company_id, {"size": 12}))
    harness.work()
    made = contact_id if kind == "contact" else company_id
    assert rows("SELECT object_id, state FROM workflow_runs") == [(made, "done")]
    assert harness.steps()["fetch"]["output"]["body"]["id"] == made
    assert rows("SELECT op FROM changes JOIN workflow_runs ON seq = change_seq") == [(op,)]


def test_all_five_actions_are_steps(harness: WorkflowHarness) -> None:
    """Each can use the results of the earlier ones."""
    harness.write_file("""\
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
    contact_id = harness.create_user(name="Ada")
    harness.work()
    assert harness.states() == ["done"], harness.steps()
    [made] = harness.contacts_with(f"five-{contact_id}")
    assert harness.messages_to(made) == ["+35312345, 1"]
    # The changes of the steps are in the tables.
    assert rows("SELECT name, phone FROM contacts WHERE id = :id", id=made) == [("Grace", "+35312345")]


def test_the_result_of_a_step_survives_an_unavailable_database(
    harness: WorkflowHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written when the database is back, and the step is not executed again."""
    harness.write_file(NOTIFY)
    contact_id = harness.create_user(name="Ada")
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+353"}))
    real = harness.context.post

    def post_then_fail(*arguments: object) -> object:
        reply = real(*arguments)  # type: ignore[arg-type]
        patched.setattr(run_store, "transaction", fail)
        return reply

    def fail(_engine: object) -> object:
        raise OperationalError("", {}, Exception("server closed the connection"))

    harness.context = harness.context._replace(post=post_then_fail)  # type: ignore[arg-type]
    harness.start_process()
    with monkeypatch.context() as patched, pytest.raises(OperationalError):
        harness.work()
    harness.worker.run_until(time.monotonic() + 5)
    assert harness.states() == ["done"]
    assert len(harness.application) == 1


def test_a_process_that_lost_its_lease_writes_nothing(harness: WorkflowHarness) -> None:
    """Another process has taken the run over."""
    harness.write_file(NOTIFY)
    contact_id = harness.create_user(name="Ada")
    harness.receive(harness.workspace.update_contact(contact_id, {"phone": "+353"}))
    real = harness.context.post

    def take_over(*arguments: object) -> object:
        harness.execute("UPDATE workflow_runs SET lease_by = 'another'")
        return real(*arguments)  # type: ignore[arg-type]

    harness.context = harness.context._replace(post=take_over)  # type: ignore[arg-type]
    harness.start_process()
    harness.work()
    assert rows("SELECT state, lease_by, position FROM workflow_runs") == [("queued", "another", 0)]
    assert harness.steps()["notify"]["state"] == "started"
