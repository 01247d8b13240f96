"""How new a fact is: versions and stamps of what was fetched, and times that Intercom gives in whole seconds."""

from intercom_api.wire.canonical import CanonicalObject
from models.rule.observations import FETCH_RANK, Stamp, Version
from settings.units import MS_PER_SECOND


def fetched_version(canonical: CanonicalObject, as_of_ms: int) -> Version:
    """Return the version of a fetched content: its updated_at, or the time of the fetch if it has none."""
    updated_at_ms = as_of_ms if canonical.updated_at_ms is None else canonical.updated_at_ms
    return Version(updated_at_ms // MS_PER_SECOND, 1, as_of_ms, 0, "")


def fetched_stamp(as_of_ms: int) -> Stamp:
    """Return the stamp of fetched links."""
    return Stamp(as_of_ms // MS_PER_SECOND, FETCH_RANK, as_of_ms % MS_PER_SECOND, "")


def end_of_second_ms(second: int) -> int:
    """Return the last millisecond of a unix second: what Intercom dates to it may have happened as late as that."""
    return second * MS_PER_SECOND + MS_PER_SECOND - 1
