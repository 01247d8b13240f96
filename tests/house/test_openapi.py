"""The OpenAPI document describes every address of /api, and no other."""

import pytest

from settings import get_settings
from webhooks.api.openapi import document
from webhooks.app import create_app


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERCOM_CLIENT_ID", raising=False)
    get_settings.cache_clear()


def test_every_address_is_described_and_no_other() -> None:
    """Methods are compared too; each of the five actions has a description of its own."""
    adapter = create_app().url_map.bind("localhost")
    described = set()
    for path, methods in document()["paths"].items():
        for method in (each.upper() for each in methods):
            rule, _ = adapter.match(path.replace("{number}", "1"), method, return_rule=True)
            described.add((rule.rule, method))
    routes = {
        (rule.rule, method)
        for rule in create_app().url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
    }
    assert described == routes


def test_operations_have_names_of_their_own() -> None:
    """Client generators turn them into functions."""
    names = [each["operationId"] for methods in document()["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))
