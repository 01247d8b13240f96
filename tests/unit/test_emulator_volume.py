"""Filling a pretend workspace with years of objects at once."""

from emulator.bulk_load import bulk_load
from emulator.workspace import EmulatedWorkspace

_YEAR_MS = 365 * 86_400_000


def test_every_link_has_two_ends_and_some_lists_are_long() -> None:
    """Counts are as wanted, links are known at both ends, some contacts have more companies than are embedded."""
    workspace = EmulatedWorkspace()
    bulk_load(workspace, 1000, 200, links=120, seed=3)
    assert (len(workspace.contacts), len(workspace.companies)) == (1000, 200)
    ends = {(one.id, id_) for one in workspace.contacts.values() for id_ in one.company_ids}
    assert ends == {(id_, one.id) for one in workspace.companies.values() for id_ in one.contact_ids}
    counts = [len(one.company_ids) for one in workspace.contacts.values()]
    assert min(counts) == 0
    assert 10 < sorted(counts)[-20] <= max(counts) <= 120
    assert len(workspace.users) + len(workspace.leads) + len(workspace.archived) == 1000


def test_times_are_spread_over_the_years() -> None:
    """Every month has its contacts, and nothing was changed before it was made."""
    workspace = EmulatedWorkspace()
    bulk_load(workspace, 1000, 10, years=2.0, seed=3)
    now = workspace.now()
    ages = [now - one.values["created_at"] for one in workspace.contacts.values()]
    assert max(ages) <= 2 * _YEAR_MS
    assert len({age * 24 // (2 * _YEAR_MS) for age in ages}) == 24
    assert all(one.values["created_at"] <= one.values["updated_at"] <= now for one in workspace.contacts.values())


def test_what_is_there_stays() -> None:
    """A second filling adds, with the tags that exist."""
    workspace = EmulatedWorkspace()
    user = workspace.create_contact("user", {"name": "Ada"})[0].object_id
    bulk_load(workspace, 10, 2, seed=1)
    bulk_load(workspace, 10, 2, seed=2)
    assert (len(workspace.contacts), len(workspace.companies), len(workspace.tags)) == (21, 4, 13)
    assert workspace.contacts[user].values["name"] == "Ada"
