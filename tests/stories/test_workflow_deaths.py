"""A workflow with a contact and a message, killed at every commit: one contact, and one message."""

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
from tests.stories.flowing import Works
from workers import write_through
from workers.actions import idempotency
from workers.runtime import process
from workers.workflows import files
from workers.workflows.engine import history, run_store
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

# More commits than the workflow has, reading the file and the feed included.
MOST = 40


class DiesError(BaseException):
    """Stands for `kill -9`: nothing between here and the test catches it."""


class Fate:
    """Counts commits, and kills at one: before it, so that it is lost, or right after."""

    def __init__(self, number: int, when: str) -> None:
        self.number, self.when, self.count = number, when, 0

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Connection]:
        self.count += 1
        dies = self.count == self.number
        with transaction(engine) as connection:
            yield connection
            if dies and self.when == "before":
                raise DiesError
        if dies:
            raise DiesError

    @property
    def has_struck(self) -> bool:
        return self.count >= self.number


@pytest.fixture
def works(site: EmulatedIntercom, tmp_path: Path) -> Iterator[Works]:
    """A workspace that has been connected for a minute, and the workflow."""
    directory = tmp_path / "workflows"
    directory.mkdir()
    with ExitStack() as stack:
        yield Works(site, directory, stack)


def live(works: Works, fate: Fate, patch: pytest.MonkeyPatch) -> None:
    """Work as a process does that dies once, and is started again."""
    with patch.context() as patched:
        for module in (starter, files, run_store, idempotency, write_through):
            patched.setattr(module, "transaction", fate.transaction)
        for _ in range(3):
            try:
                works.work()
            except DiesError:
                works.begin()
            works.let_time_pass()
    for _ in range(3):
        works.work()
        works.let_time_pass()


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_commit_it_makes_one_contact_and_one_message(
    works: Works, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Where nobody can know whether the message went out the run says so, and a person who looked lets it go on."""
    (works.directory / "flow.yaml").write_text(FLOW)
    works.work()
    unknown: list[int] = []
    struck = True
    number = 0
    while struck:
        number += 1
        assert number < MOST
        contact_id = works.user(name=f"Ada {number}")
        fate = Fate(number, when)
        live(works, fate, monkeypatch)
        struck = fate.has_struck
        [(run, state)] = rows("SELECT id, state FROM workflow_runs WHERE object_id = :id", id=contact_id)
        [twin] = works.having(f"twin-of-{contact_id}")
        sent = works.messages_to(twin)
        assert len(sent) <= 1, (number, sent)
        if state == "unknown":
            unknown.append(number)
            let_go_on(works, run, sent)
        else:
            assert (state, len(sent)) == ("done", 1), (number, state, sent)
    # At most: the mark that the message is being sent, the call itself, and its outcome.
    assert len(unknown) <= 2, unknown
    assert number > 6


def let_go_on(works: Works, run: int, sent: list[Any]) -> None:
    """Look at Intercom as a person would, and replay where nothing was sent."""
    if sent:
        return
    history.replay(process.engine(), run, datetime.now(UTC))
    works.work()
    assert rows("SELECT state FROM workflow_runs WHERE id = :id", id=run) == [("done",)]
