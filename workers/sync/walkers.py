"""How each kind of part is read."""

from collections.abc import Callable, Iterator

from workers.sync import company_pages, contact_pages, list_pages, missing_objects
from workers.sync.parts import Context, Part, Step

_WALKERS: dict[str, Callable[[Context, Part], Iterator[Step]]] = {
    "tags": list_pages.tags,
    "segments": list_pages.segments,
    "attributes": list_pages.attributes,
    "companies": company_pages.companies,
    "plan": contact_pages.plan,
    "contacts": contact_pages.window,
    "members": contact_pages.members,
    "leavers": contact_pages.leavers,
    "late": contact_pages.late,
    "confirm": missing_objects.confirm,
}


def walk(context: Context, part: Part) -> Iterator[Step]:
    """Read a part from where its cursor is, one step a page. Raises IntercomError, TooManyGoneError."""
    return _WALKERS[part.kind](context, part)
