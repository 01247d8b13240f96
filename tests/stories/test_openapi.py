"""Every answer is as the description says, whatever is asked: many requests are made up from it."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.stories.conftest import Pretended
from tests.stories.connect_site import Browser, user_token
from webhooks.app import create_app

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# Requests for each address and method; more only repeat themselves.
_REQUESTS = 15


@pytest.fixture
def operations(sqlite_site: Pretended) -> list[Any]:
    """What can be asked, for a user who is connected."""
    assert sqlite_site
    browser = Browser()
    browser.open("u-1")
    browser.connect("demo0001")
    described = schemathesis.openapi.from_wsgi("/openapi.json", create_app())
    return [each.ok() for each in described.exclude(path_regex="/api/proxy/").get_all_operations()]


def test_every_answer_is_as_described(operations: list[Any]) -> None:
    """No mistake of ours shows, and each success has the form that it is said to have."""
    asked = 0
    for operation in operations:

        @settings(max_examples=_REQUESTS, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
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
