"""The emulated API responds in JSON to every body; no body causes an unhandled exception."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulator_api import Api

# Values of every JSON type, and values that the API expects somewhere.
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
_LIKELY = st.sampled_from(
    [
        "AND",
        "OR",
        "=",
        ">",
        "IN",
        "created_at",
        "name",
        "tag_id",
        "user",
        "custom_attributes.seats",
        "ascending",
        "admin",
        "in_app",
        "email",
        1_700_000_000,
        "opt_in",
    ]
)
_VALUES = st.recursive(
    _SCALARS | _LIKELY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "field",
                    "operator",
                    "value",
                    "id",
                    "type",
                    "per_page",
                    "starting_after",
                    "order",
                    "seats",
                    "company_id",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
# The keys that each path reads, so that a few examples reach all of them.
_COMPANY = ("company_id", "name", "plan", "size", "monthly_spend", "remote_created_at", "custom_attributes")
_MESSAGE = ("message_type", "body", "subject", "template", "from", "to", "created_at")
_KEYS = {
    "/contacts": ("role", "email", "external_id", "name", "avatar", "owner_id", "signed_up_at", "custom_attributes"),
    "/contacts/search": ("query", "pagination", "sort"),
    "/contacts/merge": ("from", "into"),
    "/contacts/{}/companies": ("id",),
    "/contacts/{}/tags": ("id",),
    "/contacts/{}/subscriptions": ("id", "consent_type"),
    "/contacts/{}/notes": ("body",),
    "/tags": ("name", "id", "companies", "users"),
    "/companies": _COMPANY,
    "/messages": _MESSAGE,
    "/conversations": ("from", "body"),
    "/data_attributes": ("name", "model", "data_type", "options"),
}


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("path", _KEYS)
def test_every_body_has_a_response(path: str, data: st.DataObject) -> None:
    """The body is accepted or refused."""
    api = Api()
    body = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS[path], _VALUES)))
    user = api.user(email="ada@orchard.example")
    responses = [api.call("POST", path.format(user), body)]
    if path == "/contacts":
        responses.append(api.call("PUT", f"/contacts/{user}", body))
    for response in responses:
        assert response.status in (200, 400, 404, 409, 422)
        json.loads(response.content)
    json.loads(api.call("GET", "/contacts").content)
