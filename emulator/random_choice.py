"""Random decisions, ids and draws. With the same seed they are the same on every run."""

import random
from collections.abc import Iterator
from uuid import UUID


def chance(rng: random.Random, probability: float) -> bool:
    """Return True with this probability, 0 to 1."""
    return rng.random() < probability


def random_uuid(rng: random.Random) -> str:
    """Draw a random UUID."""
    return str(UUID(int=rng.getrandbits(128), version=4))


class IdPool:
    """A set of ids from which one can be drawn at random in constant time: a list, and each id's position in it."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._positions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._positions

    def add(self, id_: str) -> None:
        """Add an id that is not in the pool."""
        self._positions[id_] = len(self._ids)
        self._ids.append(id_)

    def discard(self, id_: str) -> None:
        """Remove an id if it is in the pool; the last id takes its position."""
        position = self._positions.pop(id_, None)
        if position is None:
            return
        last = self._ids.pop()
        if last != id_:
            self._ids[position] = last
            self._positions[last] = position

    def draw(self, rng: random.Random) -> str | None:
        """Return a random id, or None from an empty pool. One draw in five returns the first id: a busy object."""
        if not self._ids:
            return None
        return self._ids[0] if chance(rng, 0.2) else rng.choice(self._ids)
