"""What is remembered of one object: its guard row, its content and its links, as plain values."""

from typing import Any

import msgspec

from models.rule.observations import ArchivedFact, MergeFact, Stamp, Version


class Link(msgspec.Struct, frozen=True):
    """What is known of one link, and how new that is."""

    stamp: Stamp
    present: bool


class ListState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest complete list and the newest cut one of an owner and kind."""

    complete: Stamp | None = None
    cut: Stamp | None = None

    @property
    def is_complete(self) -> bool:
        """
        Whether the links we hold are all there are, as of the newest list we saw.

        A cut list of the same second may be the later one, and hide a link that the complete one did not have.
        """
        return self.complete is not None and (self.cut is None or self.complete.second > self.cut.second)


class Registers(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    The part of a guard row that only the apply rule reads; each field keeps the greatest fact seen.

    `version` is that of the content; `kept` the versions of those keys that the newest form did not carry.
    `deleted_at`, `found_at`: milliseconds, as in Observation. `missed`: the newest second of content that came while
    the object was gone. `merged`: what it became part of; the earliest word counts.
    `archived_unsure`: the order of the last two words about the archive is in doubt. `lists`: by name in LINKS.
    """

    version: Version | None = None
    kept: dict[str, Version] = {}
    deleted_at: int | None = None
    found_at: int | None = None
    missed: int | None = None
    merged: MergeFact | None = None
    archived: ArchivedFact | None = None
    archived_unsure: bool = False
    lists: dict[str, ListState] = {}

    @property
    def gone(self) -> bool:
        """Whether a tombstone stands: deleted, and not found by id later than that."""
        return self.deleted_at is not None and (self.found_at is None or self.found_at <= self.deleted_at)

    @property
    def is_archived(self) -> bool:
        """Whether the newest word on it says archived."""
        return self.archived is not None and self.archived.archived


class State(msgspec.Struct, frozen=True):
    """
    One object as the apply rule sees it.

    `content` is the merged canonical object, None while there is no row; `links` are keyed by (name in LINKS, other id)
    and may miss links that are gone by the newest complete list. `dirty` counts doubts, `clean` how many of them a
    refetch has answered.
    """

    registers: Registers = Registers()
    dirty: int = 0
    clean: int = 0
    content: dict[str, Any] | None = None
    links: dict[tuple[str, str], Link] = {}

    @property
    def is_dirty(self) -> bool:
        """Whether a refetch is owed."""
        return self.dirty > self.clean


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Registers).decode


def encode_registers(registers: Registers) -> str:
    """Return the JSON text that `object_states.registers` holds."""
    return _encode(registers).decode()


def has_content(text: str) -> bool:
    """Tell by the text that `encode_registers` wrote whether there is a version, which only what has a row has."""
    return text.startswith('{"version":')


def decode_registers(text: str | bytes) -> Registers:
    """Read what `encode_registers` wrote."""
    return _decode(text)
