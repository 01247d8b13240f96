"""The text of a guard row's registers tells at a glance whether its object has a row."""

import pytest

from models.rule.observations import ArchivedFact, Stamp, Version
from models.rule.state import ListState, Registers, decode_registers, encode_registers, has_content

VERSION = Version(1_700_000_000, 1, 1_700_000_000_123, 0, "")
LISTS = {"contact_tags": ListState(complete=Stamp(1_700_000_000, 2, 0, ""))}


@pytest.mark.parametrize(
    ("registers", "told"),
    [
        (Registers(), False),
        (Registers(version=VERSION), True),
        (Registers(version=VERSION, key_versions={"name": VERSION}, archived=ArchivedFact(1, "", archived=True)), True),
        # Deleted, and found again by a later GET.
        (Registers(version=VERSION, deleted_at_ms=1, confirmed_at_ms=2, lists=LISTS), True),
        (Registers(deleted_at_ms=2, missed_second=1, lists=LISTS), False),
        # Only keys that an older form brought have versions here, which is not the content's own.
        (Registers(key_versions={"version": VERSION}, lists=LISTS), False),
    ],
)
def test_content_is_seen_without_reading_the_rest(registers: Registers, told: bool) -> None:  # noqa: FBT001 -- a parameter
    """Whatever else the registers hold."""
    text = encode_registers(registers)
    assert has_content(text) == told
    assert decode_registers(text) == registers
