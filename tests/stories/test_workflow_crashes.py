"""A workflow that creates a contact and sends a message, killed at every commit: one contact and one message."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from models.db.engine import transaction
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from tests.stories.workflow_harness import WorkflowHarness
from workers import write_through
from workers.actions import idempotency
from workers.runtime import process_resources
from workers.workflows import files
from workers.workflows.engine import manage_runs, run_store
from workers.workflows.triggers import starter

FLOW = """\
name: twin
trigger: {on: contact.created}
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "twin-of-{{ record.id }}", name: "Twin of {{ record.name }}"}
  - id: breath
    wait: 1 second
  - id: greet
    action: send-message
    with: {contact_id: "{{ steps.create.contact.id }}", body: "Hello {{ steps.create.contact.name }}"}
"""

# More commits than a run of the workflow has, including those that read the file and the feed.
MAX_COMMITS = 40


class KilledError(BaseException):
    """Simulates `kill -9`: no code between here and the test catches it."""


class CommitKiller:
    """Counts commits and kills at one of them: before it, so that it is lost, or directly after it."""

    def __init__(self, number: int, when: str) -> None:
        self.number, self.when, self.count = number, when, 0

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Connection]:
        self.count += 1
        is_fatal = self.count == self.number
        with transaction(engine) as connection:
            yield connection
            if is_fatal and self.when == "before":
                raise KilledError
        if is_fatal:
            raise KilledError

    @property
    def has_killed(self) -> bool:
        return self.count >= self.number


@pytest.fixture
def harness(site: EmulatedIntercom, tmp_path: Path) -> Iterator[WorkflowHarness]:
    """A workspace that has been connected for a minute, and an empty directory of workflows."""
    directory = tmp_path / "workflows"
    directory.mkdir()
    with ExitStack() as stack:
        yield WorkflowHarness(site, directory, stack)


def work_with_one_kill(harness: WorkflowHarness, killer: CommitKiller, patch: pytest.MonkeyPatch) -> None:
    """Work as a process that is killed once and started again."""
    with patch.context() as patched:
        for module in (starter, files, run_store, idempotency, write_through):
            patched.setattr(module, "transaction", killer.transaction)
        for _ in range(3):
            try:
                harness.work()
            except KilledError:
                harness.start_process()
            harness.end_delays_and_leases()
    for _ in range(3):
        harness.work()
        harness.end_delays_and_leases()


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_commit_it_makes_one_contact_and_one_message(
    harness: WorkflowHarness, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """If it is unknown whether the message was sent, the run says so, and a user who has checked replays it."""
    (harness.directory / "flow.yaml").write_text(FLOW)
    harness.work()
    unknown: list[int] = []
    killed = True
    number = 0
    while killed:
        number += 1
        assert number < MAX_COMMITS
        contact_id = harness.create_user(name=f"Ada {number}")
        killer = CommitKiller(number, when)
        work_with_one_kill(harness, killer, monkeypatch)
        killed = killer.has_killed
        [(run, state)] = rows("SELECT id, state FROM workflow_runs WHERE object_id = :id", id=contact_id)
        [twin] = harness.contacts_with(f"twin-of-{contact_id}")
        sent = harness.messages_to(twin)
        assert len(sent) <= 1, (number, sent)
        if state == "unknown":
            unknown.append(number)
            replay_if_not_sent(harness, run, sent)
        else:
            assert (state, len(sent)) == ("done", 1), (number, state, sent)
    # At most two: from the commit that marks the message as being sent to the commit of its outcome.
    assert len(unknown) <= 2, unknown
    assert number > 6


def replay_if_not_sent(harness: WorkflowHarness, run: int, sent: list[Any]) -> None:
    """Check in Intercom as a user would, and replay the run if nothing was sent."""
    if sent:
        return
    manage_runs.replay(process_resources.engine(), run, datetime.now(UTC))
    harness.work()
    assert rows("SELECT state FROM workflow_runs WHERE id = :id", id=run) == [("done",)]
