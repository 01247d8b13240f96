"""A set of ids from which one can be drawn at random in constant time, the same one on every run with the same seed."""

import random
from collections.abc import Iterator
from uuid import UUID


def chance(rng: random.Random, share: float) -> bool:
    """Throw the dice once: True in this share of cases, 0 to 1."""
    return rng.random() < share


def random_uuid(rng: random.Random) -> str:
    """Draw a random UUID."""
    return str(UUID(int=rng.getrandbits(128), version=4))


class IdPool:
    """Ids in a list, and where each of them stands in it."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._places

    def add(self, id_: str) -> None:
        """Add an id that is not in the pool."""
        self._places[id_] = len(self._ids)
        self._ids.append(id_)

    def discard(self, id_: str) -> None:
        """Take an id out, if it is there; the last one takes its place."""
        place = self._places.pop(id_, None)
        if place is None:
            return
        last = self._ids.pop()
        if last != id_:
            self._ids[place] = last
            self._places[last] = place

    def draw(self, rng: random.Random) -> str | None:
        """Return any id, or None if there is none. One in five is the oldest, so that a few objects are busy ones."""
        if not self._ids:
            return None
        return self._ids[0] if chance(rng, 0.2) else rng.choice(self._ids)
