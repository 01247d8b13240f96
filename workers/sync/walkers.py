"""How each kind of part is read."""

from collections.abc import Callable, Iterator

from workers.sync import companies, confirm, contacts, lists
from workers.sync.parts import Context, Part, Step

_WALKERS: dict[str, Callable[[Context, Part], Iterator[Step]]] = {
    "tags": lists.tags,
    "segments": lists.segments,
    "attributes": lists.attributes,
    "companies": companies.companies,
    "plan": contacts.plan,
    "contacts": contacts.window,
    "members": contacts.members,
    "leavers": contacts.leavers,
    "late": contacts.late,
    "confirm": confirm.confirm,
}


def walk(context: Context, part: Part) -> Iterator[Step]:
    """Read a part from where its cursor is, one step a page. Raises IntercomError, TooManyGoneError."""
    return _WALKERS[part.kind](context, part)
