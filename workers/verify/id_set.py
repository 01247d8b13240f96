"""Remembering which of a million ids were seen, in eight megabytes."""

from array import array
from bisect import bisect_left
from hashlib import blake2b

# Ids that are kept apart until they are sorted in: few enough to be looked through as a set.
_LOOSE = 20_000


class Seen:
    """
    A set of ids, eight bytes for each.

    Two ids may share their bytes once in 10 million workspaces of a million objects; then one extra row stays unseen.
    """

    def __init__(self) -> None:
        self._sorted = array("Q")
        self._loose: set[int] = set()
        self._count = 0

    def __len__(self) -> int:
        return len(self._sorted) + len(self._loose)

    def __contains__(self, object_id: object) -> bool:
        number = _number(str(object_id))
        return number in self._loose or self._settled(number)

    def add(self, object_id: str) -> bool:
        """Add an id; returns whether it is new."""
        number = _number(object_id)
        if number in self._loose or self._settled(number):
            return False
        self._loose.add(number)
        if len(self._loose) >= max(_LOOSE, len(self._sorted) // 8):
            self._sorted = array("Q", sorted([*self._sorted, *self._loose]))
            self._loose.clear()
        return True

    def _settled(self, number: int) -> bool:
        at = bisect_left(self._sorted, number)
        return at < len(self._sorted) and self._sorted[at] == number


def _number(object_id: str) -> int:
    return int.from_bytes(blake2b(object_id.encode(), digest_size=8).digest(), "big")
