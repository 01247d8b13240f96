"""Adds many objects to a workspace at once, as if they had been created over years, without notifications."""

import random
from typing import Any

from emulator import fake_data
from emulator.random_choice import chance
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import BLANK_COMPANY, BLANK_CONTACT, CompanyRecord, ContactRecord, TagRecord
from emulator.workspace_state import object_id
from intercom_api.wire.times import MS_PER_SECOND

_YEAR_MS = 365 * 86_400 * MS_PER_SECOND
# The distribution of companies per contact: 70 % of the contacts have at most 2, 95 % at most 12. The rest has up to
# `links`, so that Intercom's embedded lists are incomplete.
_FEW, _SOME = 0.70, 0.95
_FEW_COMPANIES, _SOME_COMPANIES = 2, 12
_MOST_TAGS = 3


def bulk_load(
    workspace: EmulatedWorkspace,
    contacts: int,
    companies: int,
    *,
    links: int = 300,
    years: float = 2.0,
    seed: int = 1,
) -> None:
    """
    Add contacts and companies to the content of a workspace.

    Args:
        workspace: hold its lock if other threads use it.
        contacts: the number of contacts; four in five are users, one in fifty is archived.
        companies: the number of companies.
        links: the greatest number of companies of a contact; most contacts have at most two.
        years: the times of creation are spread evenly over this many years until now.
        seed: the same seed gives a workspace of this id the same values.
    """
    loader = _BulkLoader(workspace, round(years * _YEAR_MS), seed)
    if not workspace.tags:
        for name in fake_data.TAG_NAMES:
            workspace.create_tag(name)
    new_companies = [loader.company() for _ in range(companies)]
    tags = list(workspace.tags.values())
    new_contacts = [loader.contact(new_companies, tags, links) for _ in range(contacts)]
    workspace.restore(new_contacts, new_companies, ())


class _BulkLoader:
    def __init__(self, workspace: EmulatedWorkspace, span_ms: int, seed: int) -> None:
        self._rng = random.Random(f"volume {workspace.workspace_id} {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        self._now = workspace.now()
        self._span_ms = span_ms

    def company(self) -> CompanyRecord:
        """Make a company with a time of creation in the past."""
        times = self._times()
        values = BLANK_COMPANY | fake_data.random_company(self._rng) | times
        if chance(self._rng, 0.8):
            values["last_request_at"] = self._rng.randrange(times["created_at"], self._now)
        return CompanyRecord(object_id(times["created_at"], self._rng), values)

    def contact(self, companies: list[CompanyRecord], tags: list[TagRecord], links: int) -> ContactRecord:
        """Make a contact with a time of creation in the past, and its links."""
        rng, times = self._rng, self._times()
        role = "user" if chance(rng, 0.8) else "lead"
        person = fake_data.random_person(rng)
        values = BLANK_CONTACT | person | times | {"role": role, "last_seen_at": times["updated_at"]}
        if role == "user":
            values["signed_up_at"] = times["created_at"]
        record = ContactRecord(object_id(times["created_at"], rng), values, archived=chance(rng, 0.02))
        for company in rng.sample(companies, min(self._link_count(links), len(companies))):
            record.company_ids[company.id] = None
            company.contact_ids[record.id] = None
        chosen = rng.sample(tags, rng.randrange(min(_MOST_TAGS, len(tags)) + 1))
        record.tag_ids.update(dict.fromkeys(tag.id for tag in chosen))
        return record

    def _link_count(self, most: int) -> int:
        drawn = self._rng.random()
        if drawn < _FEW:
            return self._rng.randrange(min(_FEW_COMPANIES, most) + 1)
        return self._rng.randrange((min(_SOME_COMPANIES, most) if drawn < _SOME else most) + 1)

    def _times(self) -> dict[str, Any]:
        created_at = self._now - 1 - self._rng.randrange(self._span_ms)
        return {"created_at": created_at, "updated_at": self._rng.randrange(created_at, self._now)}
