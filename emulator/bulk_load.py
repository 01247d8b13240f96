"""Filling a workspace with many objects at once, as if they had come about over years; nobody is told of them."""

import random
from typing import Any

from emulator import fake_data
from emulator.random_choice import chance
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import BLANK_COMPANY, BLANK_CONTACT, CompanyRecord, ContactRecord, TagRecord

_YEAR_MS = 365 * 86_400_000
# Of a hundred contacts so many have no more than two companies, and so many more no more than a dozen; the rest is
# what makes lists be cut.
_FEW, _SOME = 0.70, 0.95
_FEW_COMPANIES, _SOME_COMPANIES = 2, 12
_TAGS = 3


def bulk_load(
    workspace: EmulatedWorkspace, contacts: int, companies: int, *, links: int = 300, years: float = 2.0, seed: int = 1
) -> None:
    """
    Add contacts and companies, consistent with what is there.

    Args:
        workspace: hold its lock if anything else runs already.
        contacts: how many; four in five are users, and one in fifty is archived.
        companies: how many.
        links: no contact has more companies; most have two at most.
        years: the times of creation are spread evenly over so many years until now.
        seed: the same seed gives a workspace of this id the same values.
    """
    filler = _Filler(workspace, round(years * _YEAR_MS), seed)
    if not workspace.tags:
        for name in fake_data.TAG_NAMES:
            workspace.create_tag(name)
    made = [filler.company() for _ in range(companies)]
    tags = list(workspace.tags.values())
    filled = [filler.contact(made, tags, links) for _ in range(contacts)]
    workspace.restore(filled, made, ())


class _Filler:
    def __init__(self, workspace: EmulatedWorkspace, span_ms: int, seed: int) -> None:
        self._rng = random.Random(f"volume {workspace.workspace_id} {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        self._now = workspace.now()
        self._span_ms = span_ms

    def company(self) -> CompanyRecord:
        """Make a company that was there before."""
        times = self._times()
        values = BLANK_COMPANY | fake_data.business(self._rng) | times
        if chance(self._rng, 0.8):
            values["last_request_at"] = self._rng.randrange(times["created_at"], self._now)
        return CompanyRecord(self._id(times["created_at"]), values)

    def contact(self, companies: list[CompanyRecord], tags: list[TagRecord], links: int) -> ContactRecord:
        """Make a contact that was there before."""
        rng, times = self._rng, self._times()
        role = "user" if chance(rng, 0.8) else "lead"
        values = BLANK_CONTACT | fake_data.person(rng) | times | {"role": role, "last_seen_at": times["updated_at"]}
        if role == "user":
            values["signed_up_at"] = times["created_at"]
        record = ContactRecord(self._id(times["created_at"]), values, archived=chance(rng, 0.02))
        for company in rng.sample(companies, min(self._links(links), len(companies))):
            record.company_ids[company.id] = None
            company.contact_ids[record.id] = None
        record.tag_ids.update(
            dict.fromkeys(tag.id for tag in rng.sample(tags, rng.randrange(min(_TAGS, len(tags)) + 1)))
        )
        return record

    def _links(self, most: int) -> int:
        drawn = self._rng.random()
        if drawn < _FEW:
            return self._rng.randrange(min(_FEW_COMPANIES, most) + 1)
        return self._rng.randrange((min(_SOME_COMPANIES, most) if drawn < _SOME else most) + 1)

    def _times(self) -> dict[str, Any]:
        created_at = self._now - 1 - self._rng.randrange(self._span_ms)
        return {"created_at": created_at, "updated_at": self._rng.randrange(created_at, self._now)}

    def _id(self, created_at: int) -> str:
        return f"{created_at // 1000:08x}{self._rng.getrandbits(64):016x}"
