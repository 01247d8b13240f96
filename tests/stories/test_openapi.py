"""Every response conforms to the OpenAPI document, for many requests generated from it."""

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
from workers.runtime import process_resources

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# Requests for each operation; more find nothing new.
_REQUESTS = 15


@pytest.fixture
def operations(sqlite_site: EmulatedIntercom) -> list[Any]:
    """The operations, for a connected user."""
    assert sqlite_site
    browser = Browser()
    browser.open("u-1")
    browser.connect("demo0001")
    described: Any = schemathesis.openapi.from_wsgi("/openapi.json", create_app())
    return [each.ok() for each in described.exclude(path_regex="/api/proxy/").get_all_operations()]


def test_every_response_conforms(operations: list[Any]) -> None:
    """No bug shows, and each success has the documented schema."""
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
            # Waiting for changes has its own tests.
            if case.query:
                case.query.pop("wait", None)
            case.call_and_validate(checks=_CHECKS, headers={"Authorization": f"Bearer {user_token('u-1')}"})

        ask()
    assert asked >= len(operations)


def test_endpoints_and_deliveries_conform(sqlite_site: EmulatedIntercom) -> None:
    """Generated ids find none, so this test uses real ones."""
    assert sqlite_site
    client = create_app().test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {user_token('u-1')}"
    added = client.post("/api/endpoints", json={"url": "https://app.example.com/hook", "types": ["contact"]}).json
    assert added
    check_schema("EndpointWithSecret", added)
    now = datetime.now(UTC)
    delivery = {
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
    with transaction(process_resources.engine()) as connection:
        connection.execute(insert(deliveries).values(delivery))
    for path, name in (("", "Endpoint"), (f"/{added['id']}/deliveries", "Delivery")):
        answer = client.get(f"/api/endpoints{path}").json
        assert answer
        [[line]] = answer.values()
        check_schema(name, line)
    check_schema("EndpointWithSecret", client.post(f"/api/endpoints/{added['id']}/rotate").json)
    check_schema("Endpoint", client.post(f"/api/endpoints/{added['id']}/enable").json)


def check_schema(name: str, answer: Any) -> None:
    """Check a response against its schema; it has no members that the schema does not name."""
    jsonschema_rs.validate(SCHEMAS[name], answer)
    assert set(answer) == set(SCHEMAS[name]["properties"])
