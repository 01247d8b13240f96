"""Random activity in a workspace: a seeded choice of operations, initial content, and complete histories."""

import random
from collections.abc import Iterator, Mapping

from emulator import fake_data, random_operations
from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification
from emulator.random_choice import chance
from emulator.workspace import EmulatedWorkspace

# The relative frequency of each operation: mostly changes, as in real workspaces.
DEFAULT_WEIGHTS: Mapping[str, float] = {
    "change_contact": 34,
    "change_attributes": 12,
    "change_email": 5,
    "create_user": 5,
    "create_lead": 3,
    "sign_up_visitor": 0.5,
    "sign_up_lead": 1,
    "tag": 9,
    "untag": 5,
    "attach": 9,
    "detach": 4,
    "archive": 2,
    "unarchive": 1.5,
    "merge": 1,
    "delete_contact": 1.5,
    "change_email_consent": 2,
    "change_subscription": 1,
    "unsubscribe_from_sms": 0.3,
    "create_company": 1,
    "change_company": 8,
    "delete_company": 0.3,
}

# Only changes of contacts: to measure speed over a fixed number of contacts.
UPDATE_WEIGHTS: Mapping[str, float] = {"change_contact": 3, "change_attributes": 1}

# After this number of operations that had no effect, a user is created: the workspace had too few objects.
_MOST_ATTEMPTS = 50

# The number of companies of a `crowded` contact: more than the ten that a notification embeds.
_CROWD = 14


class RandomActivity:
    """
    Draws operations and runs them.

    Args:
        workspace: the workspace to change.
        seed: the same seed and workspace give the same activity.
        weights: the relative frequency of each operation in `emulator.random_operations`.
    """

    def __init__(
        self, workspace: EmulatedWorkspace, seed: int = 1, weights: Mapping[str, float] = DEFAULT_WEIGHTS
    ) -> None:
        self.workspace = workspace
        self._rng = random.Random(f"life {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        self._operations = [random_operations.RANDOM_OPERATIONS[name] for name in weights]
        self._weights = list(weights.values())

    def step(self) -> list[EmulatedNotification]:
        """Run one operation that has an effect and return its notifications: usually one."""
        for _ in range(_MOST_ATTEMPTS):
            operation = self._rng.choices(self._operations, self._weights)[0]
            notifications = operation(self.workspace, self._rng)
            if notifications:
                return notifications
        return random_operations.create_user(self.workspace, self._rng)


def populate(
    workspace: EmulatedWorkspace, contacts: int, companies: int, seed: int = 1, links: int = 2, crowded: int = 2
) -> list[EmulatedNotification]:
    """
    Create the initial content of a workspace and return the notifications of it.

    Args:
        workspace: usually an empty workspace.
        contacts: the number of contacts; four in five are users.
        companies: the number of companies.
        seed: the same seed gives the same content.
        links: the greatest number of companies, and of tags, of each contact.
        crowded: the number of contacts that are attached to all of the first 14 companies: more than a notification
            embeds.
    """
    rng = random.Random(f"populate {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
    for name in fake_data.TAG_NAMES if not workspace.tags else ():
        workspace.create_tag(name)
    notifications = [each for _ in range(companies) for each in random_operations.create_company(workspace, rng)]
    company_ids = list(workspace.companies)
    for index in range(contacts):
        create = random_operations.create_user if chance(rng, 0.8) else random_operations.create_lead
        notifications += create(workspace, rng)
        contact_id = notifications[-1].object_id
        chosen = company_ids[:_CROWD] if index < crowded else _sample(rng, company_ids, links)
        notifications += [each for company_id in chosen for each in workspace.attach(contact_id, company_id)]
        tag_ids = _sample(rng, list(workspace.tags), links)
        notifications += [each for tag_id in tag_ids for each in workspace.tag(contact_id, tag_id)]
    return notifications


def history(
    workspace: EmulatedWorkspace,
    clock: ManualClock,
    count: int,
    seed: int = 1,
    step_ms: int = 40,
    weights: Mapping[str, float] = DEFAULT_WEIGHTS,
) -> Iterator[EmulatedNotification]:
    """
    Run operations until there are `count` notifications, or a few more: those of one operation stay together.

    Args:
        workspace: a workspace with this `clock`.
        clock: advanced before each operation by up to twice `step_ms`, so that some changes share a second.
        count: the number of notifications.
        seed: as in `RandomActivity`.
        step_ms: the mean time between two operations in milliseconds.
        weights: as in `RandomActivity`.
    """
    activity = RandomActivity(workspace, seed, weights)
    rng = random.Random(f"steps {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
    total = 0
    while total < count:
        clock.advance(rng.randrange(2 * step_ms + 1))
        notifications = activity.step()
        total += len(notifications)
        yield from notifications


def _sample(rng: random.Random, ids: list[str], most: int) -> list[str]:
    return rng.sample(ids, min(rng.randrange(most + 1), len(ids)))
