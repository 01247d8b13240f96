"""The segments of every pretend workspace: membership is computed from the object, and no topic ever tells of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.workspace_records import CompanyRecord, ContactRecord

# When somebody is said to have made the segments: 2024-01-01 UTC, in unix seconds.
_MADE_AT = 1_704_067_200
# From so many employees on, and so much spending a month, a company counts as large and as a good customer.
_LARGE = 1000
_MUCH = 5000


@dataclass(frozen=True, slots=True)
class Segment:
    """A rule with a name; `person_type` says what it holds: "user", "contact" (leads as well) or "company"."""

    id: str
    name: str
    person_type: str
    holds: Callable[[Mapping[str, Any]], bool]
    created_at: int = _MADE_AT


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
        "65920080cc00000000000002", "Good customers", "company", lambda values: (values["monthly_spend"] or 0) >= _MUCH
    ),
)
ALL = CONTACT_SEGMENTS | COMPANY_SEGMENTS


def of_contact(record: ContactRecord) -> list[str]:
    """Return the ids of the segments that a contact is in, in order."""
    return [segment.id for segment in CONTACT_SEGMENTS.values() if segment.holds(record.values)]


def of_company(record: CompanyRecord) -> list[str]:
    """Return the ids of the segments that a company is in, in order."""
    return [segment.id for segment in COMPANY_SEGMENTS.values() if segment.holds(record.values)]
