"""The segments of every emulated workspace. Membership is computed from the object; no topic reports its changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.workspace_records import CompanyRecord, ContactRecord

# The time of creation of all segments: 2024-01-01 UTC, in unix seconds.
_CREATED_AT = 1_704_067_200
# A company with this number of employees is in "Large", one with this monthly spend in "Good customers".
_LARGE = 1000
_HIGH_SPEND = 5000


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A segment.

    Attributes:
        id: the segment's id.
        name: the segment's name.
        person_type: the type of its members: "user", "contact" (leads as well) or "company".
        contains: whether an object with these values is a member.
        created_at: the time of creation in unix seconds.
    """

    id: str
    name: str
    person_type: str
    contains: Callable[[Mapping[str, Any]], bool]
    created_at: int = _CREATED_AT


def _by_id(*segments: Segment) -> dict[str, Segment]:
    return {segment.id: segment for segment in segments}


CONTACT_SEGMENTS = _by_id(
    Segment("65920080aa00000000000001", "Signed up", "user", lambda values: values["role"] == "user"),
    Segment("65920080aa00000000000002", "Leads", "contact", lambda values: values["role"] == "lead"),
    Segment(
        "65920080aa00000000000003",
        "Gold",
        "user",
        lambda values: values["custom_attributes"].get("plan_tier") == "gold",
    ),
    Segment("65920080aa00000000000004", "No emails", "contact", lambda values: values["unsubscribed_from_emails"]),
)
COMPANY_SEGMENTS = _by_id(
    Segment("65920080cc00000000000001", "Large", "company", lambda values: (values["size"] or 0) >= _LARGE),
    Segment(
        "65920080cc00000000000002",
        "Good customers",
        "company",
        lambda values: (values["monthly_spend"] or 0) >= _HIGH_SPEND,
    ),
)
ALL = CONTACT_SEGMENTS | COMPANY_SEGMENTS


def of_contact(record: ContactRecord) -> list[str]:
    """Return the ids of a contact's segments, in order."""
    return [segment.id for segment in CONTACT_SEGMENTS.values() if segment.contains(record.values)]


def of_company(record: CompanyRecord) -> list[str]:
    """Return the ids of a company's segments, in order."""
    return [segment.id for segment in COMPANY_SEGMENTS.values() if segment.contains(record.values)]
