"""
The content of a workflow file after it was parsed and checked.

    InvalidWorkflowError: a file cannot be used; it carries every mistake with its line.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

StepKind = Literal["action", "request", "http", "condition", "wait"]

# What can start a workflow: by the name of the event, the type of the object and the operation of the change.
EVENTS: dict[str, tuple[str, str]] = {
    "contact.created": ("contact", "created"),
    "contact.updated": ("contact", "updated"),
    "company.created": ("company", "created"),
    "company.updated": ("company", "updated"),
}

# All sources of changes, and those that report a change as it happens. A refetch is not one of the latter: a backfill
# refetches objects that it saw only in part, and old objects must not start a workflow.
SOURCES = ("webhook", "write_through", "refetch", "backfill", "reconcile")
LIVE_SOURCES = ("webhook", "write_through")

# Methods of requests that have the same effect when they are sent twice.
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Mistake(NamedTuple):
    """A mistake in a file, and its line (the first line is 1)."""

    line: int
    text: str


class InvalidWorkflowError(Exception):
    """A file cannot be used; `mistakes` are in the order of their lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(f"line {each.line}: {each.text}" for each in self.mistakes))


class Trigger(msgspec.Struct, frozen=True):
    """
    The conditions under which a change starts a run.

    `where`: wanted values by dotted path in the record, see `workers.workflows.triggers.matching`. `changed`: fields of
    which at least one must have changed; empty for any. `own_changes`: whether changes made by the workflow's own steps
    may start it too.
    """

    event: str
    where: Mapping[str, Any] = {}
    changed: tuple[str, ...] = ()
    sources: tuple[str, ...] = LIVE_SOURCES
    own_changes: bool = False

    @property
    def object_type(self) -> str:
        """Contact or company."""
        return EVENTS[self.event][0]

    @property
    def op(self) -> str:
        """The operation of the change: created or updated."""
        return EVENTS[self.event][1]


class WorkflowStep(msgspec.Struct, frozen=True):
    """
    One step. Texts in `fields` may contain templates.

    `fields`, by kind: an action's input; `method`, `path`, `query`, `body` of a request to Intercom; `url`, `headers`,
    `body` of a request to the application; `condition`; `seconds` of a wait. `when`: a template; the step is skipped if
    it is false. `repeatable`: whether the request may be sent again when it is unknown whether it was received.
    """

    id: str
    kind: StepKind
    fields: Mapping[str, Any]
    action: str = ""
    when: str | None = None
    repeatable: bool = False


class Workflow(msgspec.Struct, frozen=True):
    """A whole file; `settings` are the names in WORKFLOW_SETTINGS that its templates may use."""

    name: str
    trigger: Trigger
    steps: tuple[WorkflowStep, ...]
    settings: tuple[str, ...] = ()
