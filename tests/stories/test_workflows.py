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
from tests.stories.workflow_harness import Works
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
    """An empty directory of workflows, and a workspace that has been connected for a minute."""
    directory = tmp_path / "workflows"
    directory.mkdir()
    with ExitStack() as stack:
        yield Works(site, directory, stack)


def test_a_new_user_is_greeted_once(works: Works) -> None:
    """However often the feed is read, and the same notification arrives."""
    works.file(GREET)
    notifications = works.workspace.create_contact("user", {"name": "Ada"})
    for _ in range(3):
        works.hear(notifications)
        works.work()
    contact_id = next(each.id for each in works.workspace.contacts.values() if each.values["name"] == "Ada")
    assert works.messages_to(contact_id) == ["Hello Ada"]
    assert works.runs() == [("greet", "done")]
    step = works.steps()["greet"]
    assert (step["state"], step["attempts"], step["input"]["body"]) == ("done", 1, "Hello Ada")
    assert step["output"]["message"]["type"] == "admin_message"


def test_two_processes_that_read_the_same_changes_start_one_run(works: Works) -> None:
    """A run is unique by workflow and change."""
    works.file(GREET)
    works.user(name="Ada")
    works.start()
    works.change("DELETE FROM feed_cursors WHERE name = 'workflows'")
    works.start()
    assert works.states() == ["queued"]


@pytest.mark.parametrize("source", ["backfill", "reconcile", "refetch"])
def test_changes_found_by_a_backfill_or_reconcile_start_nothing(works: Works, source: str) -> None:
    """Even if the object is new."""
    works.file(GREET)
    works.hear(works.workspace.create_contact("user", {"name": "Ada"}), source)
    works.work()
    assert works.runs() == []


def test_a_first_webhook_about_an_old_contact_starts_nothing(works: Works) -> None:
    """It is new to the mirror, but not to Intercom."""
    works.file(GREET)
    works.file(TELL.replace(", changed: [phone]", ""), "tell")
    works.change("UPDATE connections SET connected_at = :at", at=4_000_000_000)
    works.user(name="Ada")
    works.work()
    assert works.runs() == []


def test_old_contacts_found_by_a_backfill_start_nothing(works: Works) -> None:
    """Even if the file names all sources: connecting a workspace must not greet its old contacts."""
    works.file(GREET.replace("where: {role: user}", "sources: [webhook, write_through, refetch, backfill, reconcile]"))
    works.change("UPDATE connections SET connected_at = :at", at=4_000_000_000)
    for number in range(10):
        works.hear(works.workspace.create_contact("user", {"name": f"Old {number}"}), "backfill")
    works.work()
    assert works.runs() == []


def test_a_workflow_begins_with_the_changes_after_its_file_was_read(works: Works) -> None:
    """Earlier changes start nothing."""
    works.user(name="Before")
    works.file(GREET)
    works.user(name="After")
    works.work()
    assert [each[0] for each in rows("SELECT record FROM workflow_runs")] != []
    assert works.states() == ["done"]


def test_steps_use_the_results_of_earlier_steps(works: Works) -> None:
    """A request to any path of Intercom, a wait, a condition, and a request to the application."""
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
    [request] = works.told
    assert msgspec.json.decode(request["body"]) == {"tag": "from user", "status": 200}
    assert request["headers"]["Authorization"] == "Bearer s3cret-key"
    assert {name: step["state"] for name, step in works.steps().items()} == {
        "tag": "done",
        "attach": "done",
        "pause": "done",
        "gold": "skipped",
        "tell": "done",
        "heard": "done",
    }


def test_no_secret_is_stored(works: Works) -> None:
    """Neither in an input, nor in an output, nor in an error."""
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


def test_an_application_that_is_unavailable_is_called_again_later(works: Works) -> None:
    """With the same key, until it responds."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.told.answers = [PostError("No server accepts connections.", not_sent=True), ApplicationReply(503, None)]
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
    assert len({each["headers"]["Idempotency-Key"] for each in works.told}) == 1


@pytest.mark.parametrize(
    "reply", [PostError("The server did not respond.", not_sent=False), ApplicationReply(500, None)]
)
def test_a_request_that_may_have_been_received_is_not_repeated(
    works: Works, reply: ApplicationReply | Exception
) -> None:
    """Unless a user who has checked replays the run."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.told.answers = [reply]
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


def test_a_repeatable_step_is_repeated(works: Works) -> None:
    """`repeatable: true` says that the application recognises the key."""
    works.file(TELL + "    repeatable: true\n")
    contact_id = works.user(name="Ada")
    works.told.answers = [PostError("The server did not respond.", not_sent=False)]
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    works.work()
    works.wait(3_600)
    works.work()
    assert works.states() == ["done"]


def test_a_workflow_does_not_start_itself(works: Works) -> None:
    """Neither by the response to its step, nor by the notification about it, nor by the message that it sends."""
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
    # The changes of one workflow start the other.
    assert len([each for each in works.runs() if each[0] == "other"]) > 1


def test_a_workflow_that_creates_contacts_does_not_start_itself(works: Works) -> None:
    """A contact that it created starts no run of it."""
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


def test_a_run_is_held_while_a_step_may_have_made_the_change(works: Works) -> None:
    """The notification arrives before the response; only the end of the step decides."""
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

    def notify_first(*arguments: object) -> object:
        works.hear(works.workspace.create_contact("user", {"external_id": f"twin-of-{contact_id}"}))
        works.start()
        assert works.states() == ["queued", "held"]
        return client_of(*arguments)  # type: ignore[arg-type]

    works.tools = works.tools._replace(actions=works.tools.actions._replace(client_of=notify_first))  # type: ignore[arg-type]
    works.begin()
    works.work()
    works.start()
    # Intercom refused a second contact with this id, so the workflow did not create the first.
    assert works.states() == ["failed", "queued"]


def test_own_changes_start_a_workflow_if_the_file_allows_it(works: Works) -> None:
    """Until its condition is false."""
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


def test_a_run_follows_the_file_that_it_started_with(works: Works) -> None:
    """The text of the file is stored."""
    works.file(GREET.replace("steps:\n", "steps:\n  - {id: rest, wait: 1 hour}\n"))
    contact_id = works.user(name="Ada")
    works.work()
    works.file(GREET.replace("Hello", "Goodbye"))
    works.begin()
    works.wait(4_000)
    works.work()
    assert works.messages_to(contact_id) == ["Hello Ada"]


def test_an_unknown_name_fails_the_run_with_the_known_names(works: Works) -> None:
    """The error contains names and no values."""
    works.file(GREET.replace("record.name", "record.custom_attributes.nick"))
    works.workspace.create_contact("user", {"name": "Not in the mirror"})
    works.user(name="Ada")
    works.work()
    assert works.states() == ["failed"]
    error = str(works.steps()["greet"]["error"])
    assert error.startswith("body: Unknown name nick; known names: ")
    assert "Ada" not in error


def test_ended_runs_are_deleted_and_open_ones_kept(works: Works) -> None:
    """After RETENTION_DAYS, with their steps and effects."""
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
    """And no other event does."""
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
    """Each can use the results of the earlier ones."""
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
    # The changes of the steps are in the tables.
    assert rows("SELECT name, phone FROM contacts WHERE id = :id", id=made) == [("Grace", "+35312345")]


def test_the_result_of_a_step_survives_an_unavailable_database(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written when the database is back, and the step is not executed again."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    real = works.tools.post

    def post_then_fail(*arguments: object) -> object:
        reply = real(*arguments)  # type: ignore[arg-type]
        patched.setattr(run_store, "transaction", fail)
        return reply

    def fail(_engine: object) -> object:
        raise OperationalError("", {}, Exception("server closed the connection"))

    works.tools = works.tools._replace(post=post_then_fail)  # type: ignore[arg-type]
    works.begin()
    with monkeypatch.context() as patched, pytest.raises(OperationalError):
        works.work()
    works.worker.run_until(time.monotonic() + 5)
    assert works.states() == ["done"]
    assert len(works.told) == 1


def test_a_process_that_lost_its_lease_writes_nothing(works: Works) -> None:
    """Another process has taken the run over."""
    works.file(TELL)
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.update_contact(contact_id, {"phone": "+353"}))
    real = works.tools.post

    def take_over(*arguments: object) -> object:
        works.change("UPDATE workflow_runs SET lease_by = 'another'")
        return real(*arguments)  # type: ignore[arg-type]

    works.tools = works.tools._replace(post=take_over)  # type: ignore[arg-type]
    works.begin()
    works.work()
    assert rows("SELECT state, lease_by, position FROM workflow_runs") == [("queued", "another", 0)]
    assert works.steps()["tell"]["state"] == "started"
