"""Every answer is as the description says, whatever is asked: many requests are made up from it."""

from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import insert

from models.db.engine import transaction
from models.tables.delivery_tables import deliveries
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import Browser, user_token
from webhooks.api.schemas import SCHEMAS
from webhooks.app import create_app
from workers.runtime import process

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# Requests for each address and method; more only repeat themselves.
_REQUESTS = 15


@pytest.fixture
def operations(sqlite_site: EmulatedIntercom) -> list[Any]:
    """What can be asked, for a user who is connected."""
    assert sqlite_site
    browser = Browser()
    browser.open("u-1")
    browser.connect("demo0001")
    described: Any = schemathesis.openapi.from_wsgi("/openapi.json", create_app())
    return [each.ok() for each in described.exclude(path_regex="/api/proxy/").get_all_operations()]


def test_every_answer_is_as_described(operations: list[Any]) -> None:
    """No mistake of ours shows, and each success has the form that it is said to have."""
    asked = 0
    for operation in operations:

        @settings(
            max_examples=_REQUESTS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            # Waiting is for stories of its own.
            if case.query:
                case.query.pop("wait", None)
            case.call_and_validate(checks=_CHECKS, headers={"Authorization": f"Bearer {user_token('u-1')}"})

        ask()
    assert asked >= len(operations)


def test_what_is_told_of_endpoints_and_deliveries_is_as_described(sqlite_site: EmulatedIntercom) -> None:
    """Made-up ids find none, so here are real ones."""
    assert sqlite_site
    client = create_app().test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {user_token('u-1')}"
    added = client.post("/api/endpoints", json={"url": "https://app.example.com/hook", "types": ["contact"]}).json
    assert added
    described_as("EndpointWithSecret", added)
    now = datetime.now(UTC)
    told = {
        "endpoint_id": added["id"],
        "change_seq": 1,
        "workspace_id": "demo0001",
        "object_type": "contact",
        "object_id": "c1",
        "body": "{}",
        "state": "failed",
        "due_at": now,
        "created_at": now,
    }
    with transaction(process.engine()) as connection:
        connection.execute(insert(deliveries).values(told))
    for path, name in (("", "Endpoint"), (f"/{added['id']}/deliveries", "Delivery")):
        answer = client.get(f"/api/endpoints{path}").json
        assert answer
        [[line]] = answer.values()
        described_as(name, line)
    described_as("EndpointWithSecret", client.post(f"/api/endpoints/{added['id']}/rotate").json)
    described_as("Endpoint", client.post(f"/api/endpoints/{added['id']}/enable").json)


def described_as(name: str, answer: Any) -> None:
    """Compare with the description; nothing is told that it does not name."""
    jsonschema_rs.validate(SCHEMAS[name], answer)
    assert set(answer) == set(SCHEMAS[name]["properties"])
