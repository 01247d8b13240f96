"""The bulk load of an emulated workspace."""

from emulator.bulk_load import bulk_load
from emulator.workspace import EmulatedWorkspace

_YEAR_MS = 365 * 86_400 * 1000


def test_links_are_consistent_and_some_lists_are_long() -> None:
    """Both ends have each link, and some contacts have more companies than Intercom embeds."""
    workspace = EmulatedWorkspace()
    bulk_load(workspace, 1000, 200, links=120, seed=3)
    assert (len(workspace.contacts), len(workspace.companies)) == (1000, 200)
    ends = {(each.id, id_) for each in workspace.contacts.values() for id_ in each.company_ids}
    assert ends == {(id_, each.id) for each in workspace.companies.values() for id_ in each.contact_ids}
    counts = [len(each.company_ids) for each in workspace.contacts.values()]
    assert min(counts) == 0
    assert 10 < sorted(counts)[-20] <= max(counts) <= 120
    assert len(workspace.users) + len(workspace.leads) + len(workspace.archived) == 1000


def test_times_are_spread_over_the_years() -> None:
    """Every month has contacts, and no update precedes the creation."""
    workspace = EmulatedWorkspace()
    bulk_load(workspace, 1000, 10, years=2.0, seed=3)
    now = workspace.now()
    ages = [now - each.values["created_at"] for each in workspace.contacts.values()]
    assert max(ages) <= 2 * _YEAR_MS
    assert len({age * 24 // (2 * _YEAR_MS) for age in ages}) == 24
    assert all(each.values["created_at"] <= each.values["updated_at"] <= now for each in workspace.contacts.values())


def test_existing_objects_stay() -> None:
    """A second load adds objects and uses the existing tags."""
    workspace = EmulatedWorkspace()
    user = workspace.create_contact("user", {"name": "Ada"})[0].object_id
    bulk_load(workspace, 10, 2, seed=1)
    bulk_load(workspace, 10, 2, seed=2)
    assert (len(workspace.contacts), len(workspace.companies), len(workspace.tags)) == (21, 4, 13)
    assert workspace.contacts[user].values["name"] == "Ada"
