"""What the mirror remembers about one object: its guard row, its content and its links, as plain values."""

from typing import Any

import msgspec

from models.rule.observations import ArchivedFact, MergeFact, Stamp, Version


class LinkState(msgspec.Struct, frozen=True):
    """Whether a link is present, and how new that fact is."""

    stamp: Stamp
    present: bool


class ListState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stamps of the newest complete list and of the newest cut list of an owner and kind."""

    complete: Stamp | None = None
    cut: Stamp | None = None

    @property
    def is_complete(self) -> bool:
        """
        Whether the mirror has all links, as of the newest list.

        A cut list of the same second may be the later one, and may omit a link that the complete list did not have.
        """
        return self.complete is not None and (self.cut is None or self.complete.second > self.cut.second)


# The names under which `object_states.registers` stores the fields whose name here is another one.
_STORED_NAMES = {
    "key_versions": "kept",
    "deleted_at_ms": "deleted_at",
    "confirmed_at_ms": "found_at",
    "missed_second": "missed",
    "is_archived_uncertain": "archived_unsure",
}


class Registers(msgspec.Struct, frozen=True, omit_defaults=True, rename=_STORED_NAMES):
    """
    The part of a guard row that only the apply rule reads; each field keeps the greatest fact received.

    Args:
        version: the version of the content; None where the object has no row.
        key_versions: the versions of the keys that the newest form did not carry.
        deleted_at_ms: milliseconds, as in Observation.
        confirmed_at_ms: milliseconds, as in Observation.
        missed_second: the newest second of content that arrived while the object was gone.
        merged: the contact that this one became part of; the earliest fact counts.
        archived: the newest fact about the archive.
        is_archived_uncertain: the order of the last two facts about the archive is not known.
        lists: the newest lists, by a name in LINKS.
    """

    version: Version | None = None
    key_versions: dict[str, Version] = {}
    deleted_at_ms: int | None = None
    confirmed_at_ms: int | None = None
    missed_second: int | None = None
    merged: MergeFact | None = None
    archived: ArchivedFact | None = None
    is_archived_uncertain: bool = False
    lists: dict[str, ListState] = {}

    @property
    def gone(self) -> bool:
        """Whether the object is a tombstone: deleted, and not found by id after that."""
        deleted_at_ms, confirmed_at_ms = self.deleted_at_ms, self.confirmed_at_ms
        return deleted_at_ms is not None and (confirmed_at_ms is None or confirmed_at_ms <= deleted_at_ms)

    @property
    def is_archived(self) -> bool:
        """Whether the object is archived by the newest fact."""
        return self.archived is not None and self.archived.archived


class ObjectState(msgspec.Struct, frozen=True):
    """
    One object as the apply rule knows it.

    Args:
        registers: the facts of its guard row.
        dirty: counts the reasons to refetch it so far.
        clean: the value of `dirty` up to which refetches have settled them.
        content: the merged canonical object; None while it has no row.
        links: by (name in LINKS, other id). Links that the newest complete list removed may be absent.
    """

    registers: Registers = Registers()
    dirty: int = 0
    clean: int = 0
    content: dict[str, Any] | None = None
    links: dict[tuple[str, str], LinkState] = {}

    @property
    def is_dirty(self) -> bool:
        """Whether the object must be fetched again."""
        return self.dirty > self.clean


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Registers).decode


def encode_registers(registers: Registers) -> str:
    """Return the JSON text for `object_states.registers`."""
    return _encode(registers).decode()


def has_content(text: str) -> bool:
    """Return whether the registers have a version, which only objects with a row have, without decoding the text."""
    return text.startswith('{"version":')


def decode_registers(text: str | bytes) -> Registers:
    """Return the registers that `encode_registers` encoded."""
    return _decode(text)
