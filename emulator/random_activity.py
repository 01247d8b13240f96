"""Life in a pretend workspace: a seeded choice of what happens next, and whole histories made of it."""

import random
from collections.abc import Iterator, Mapping

from emulator import fake_data, random_operations
from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification
from emulator.random_choice import chance
from emulator.workspace import EmulatedWorkspace

# How often each deed happens, relative to the others: mostly changes, as in real workspaces.
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
    "consent": 2,
    "subscribe": 1,
    "stop_sms": 0.3,
    "create_company": 1,
    "change_company": 8,
    "delete_company": 0.3,
}

# Contacts that change and nothing else: for measuring speed over a fixed number of contacts.
UPDATE_WEIGHTS: Mapping[str, float] = {"change_contact": 3, "change_attributes": 1}

# After so many deeds in a row that were not possible, a user is created: the workspace was too empty for them.
_PATIENCE = 50


class RandomActivity:
    """
    Draws what happens next.

    Args:
        workspace: where it happens.
        seed: the same seed and workspace give the same life.
        weights: how often each deed of `emulator.deeds` happens.
    """

    def __init__(
        self, workspace: EmulatedWorkspace, seed: int = 1, weights: Mapping[str, float] = DEFAULT_WEIGHTS
    ) -> None:
        self.workspace = workspace
        self._rng = random.Random(f"life {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        self._deeds = [random_operations.RANDOM_OPERATIONS[name] for name in weights]
        self._weights = list(weights.values())

    def step(self) -> list[EmulatedNotification]:
        """Let something happen and return what Intercom tells of it: one notification, seldom more."""
        for _ in range(_PATIENCE):
            deed = self._rng.choices(self._deeds, self._weights)[0]
            told = deed(self.workspace, self._rng)
            if told:
                return told
        return random_operations.create_user(self.workspace, self._rng)


def populate(
    workspace: EmulatedWorkspace, contacts: int, companies: int, seed: int = 1, links: int = 2, crowded: int = 2
) -> list[EmulatedNotification]:
    """
    Fill a workspace and return what Intercom would have told of it.

    Args:
        workspace: an empty one, usually.
        contacts: how many; four in five are users.
        companies: how many.
        seed: the same seed gives the same content.
        links: each contact is attached to at most so many companies and given at most so many tags.
        crowded: so many contacts are attached to all of the first 14 companies: more than a notification embeds.
    """
    rng = random.Random(f"populate {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
    for name in fake_data.TAG_NAMES if not workspace.tags else ():
        workspace.create_tag(name)
    told = [n for _ in range(companies) for n in random_operations.create_company(workspace, rng)]
    company_ids = list(workspace.companies)
    for index in range(contacts):
        told += (
            random_operations.create_user(workspace, rng)
            if chance(rng, 0.8)
            else random_operations.create_lead(workspace, rng)
        )
        contact_id = told[-1].object_id
        wanted = company_ids[:14] if index < crowded else _some(rng, company_ids, links)
        told += [n for company_id in wanted for n in workspace.attach(contact_id, company_id)]
        told += [n for tag_id in _some(rng, list(workspace.tags), links) for n in workspace.tag(contact_id, tag_id)]
    return told


def history(
    workspace: EmulatedWorkspace,
    clock: ManualClock,
    count: int,
    seed: int = 1,
    step_ms: int = 40,
    weights: Mapping[str, float] = DEFAULT_WEIGHTS,
) -> Iterator[EmulatedNotification]:
    """
    Live until `count` notifications are told (or a few more: what one deed tells stays together).

    Args:
        workspace: it must have been made with `clock`.
        clock: moved on before each deed by up to twice `step_ms`, so that some changes share a second.
        count: how many notifications.
        seed: as for `RandomActivity`.
        step_ms: mean distance of two deeds in milliseconds.
        weights: as for `RandomActivity`.
    """
    life = RandomActivity(workspace, seed, weights)
    rng = random.Random(f"steps {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
    told = 0
    while told < count:
        clock.advance(rng.randrange(2 * step_ms + 1))
        notifications = life.step()
        told += len(notifications)
        yield from notifications


def _some(rng: random.Random, ids: list[str], most: int) -> list[str]:
    return rng.sample(ids, min(rng.randrange(most + 1), len(ids)))
