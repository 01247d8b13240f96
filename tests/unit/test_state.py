"""The JSON text of a guard row's registers: its stored names, and whether its object has a row."""

import pytest

from models.rule.observations import ArchivedFact, Stamp, Version
from models.rule.state import ListState, Registers, decode_registers, encode_registers, has_content

VERSION = Version(1_700_000_000, 1, 1_700_000_000_123, 0, "")
LISTS = {"contact_tags": ListState(complete=Stamp(1_700_000_000, 2, 0, ""))}


@pytest.mark.parametrize(
    ("registers", "expected"),
    [
        (Registers(), False),
        (Registers(version=VERSION), True),
        (Registers(version=VERSION, key_versions={"name": VERSION}, archived=ArchivedFact(1, "", archived=True)), True),
        # Deleted, and found again by a later GET.
        (Registers(version=VERSION, deleted_at_ms=1, confirmed_at_ms=2, lists=LISTS), True),
        (Registers(deleted_at_ms=2, missed_second=1, lists=LISTS), False),
        # Only the keys from an older form have versions here, not the content.
        (Registers(key_versions={"version": VERSION}, lists=LISTS), False),
    ],
)
def test_content_is_recognised_without_decoding_the_text(registers: Registers, expected: bool) -> None:  # noqa: FBT001 -- a parameter
    """The first key decides, whatever else the registers hold."""
    text = encode_registers(registers)
    assert has_content(text) == expected
    assert decode_registers(text) == registers


def test_the_stored_names_stay() -> None:
    """Databases hold registers under these names, so a field that is renamed keeps its stored name."""
    registers = Registers(
        version=VERSION,
        key_versions={"name": VERSION},
        deleted_at_ms=2,
        confirmed_at_ms=3,
        missed_second=1,
        is_archived_uncertain=True,
    )
    version = '[1700000000,1,1700000000123,0,""]'
    assert encode_registers(registers) == (
        f'{{"version":{version},"kept":{{"name":{version}}},"deleted_at":2,"found_at":3,"missed":1,'
        '"archived_unsure":true}'
    )
