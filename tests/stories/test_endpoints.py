"""Endpoints over HTTP and by command: add, list, enable, rotate, remove. Users have access only to their own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from cli.main import main
from models.db.engine import transaction
from settings import get_settings
from tests.stories.connect_site import surroundings, user_token
from webhooks.app import create_app
from workers.runtime.process_resources import engine

URL = "https://app.example.test/hook"


class EndpointsApi:
    """A client of /api/endpoints."""

    def __init__(self) -> None:
        self.client = create_app().test_client()

    def request(self, method: str, path: str = "", user: str | None = None, status: int = 200, **body: Any) -> Any:
        """Send a request as a user or as the operator; the response must have this status."""
        token = user_token(user) if user else get_settings().admin_token
        response = self.client.open(
            f"/api/endpoints{path}", method=method, headers={"Authorization": f"Bearer {token}"}, json=body or None
        )
        assert response.status_code == status, response.text
        return response.json if response.data else None


@pytest.fixture
def api(redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EndpointsApi]:
    """The API of a mirror with development credentials."""
    with surroundings(monkeypatch, tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url):
        yield EndpointsApi()


def add_failed_delivery(endpoint_id: str) -> int:
    """Insert a delivery that failed; return its id."""
    insert = text(
        "INSERT INTO deliveries (endpoint_id, change_seq, workspace_id, object_type, object_id, body, state, due_at,"
        " created_at) VALUES (:id, 1, 'ws000001', 'contact', 'c1', '{}', 'failed', CURRENT_TIMESTAMP,"
        " CURRENT_TIMESTAMP) RETURNING id"
    )
    with transaction(engine()) as connection:
        return int(connection.execute(insert, {"id": endpoint_id}).scalar_one())


def test_the_secret_is_shown_once(api: EndpointsApi) -> None:
    """When the endpoint is added, and when the secret is rotated; lists do not show it."""
    added = api.request("POST", user="ada", status=201, url=URL, types=["contact"])
    assert added["secret"].startswith("whsec_")
    listed = api.request("GET", user="ada")
    assert "secret" not in listed["endpoints"][0]
    rotated = api.request("POST", f"/{added['id']}/rotate", "ada")
    assert rotated["secret"] != added["secret"]
    assert rotated["old_until"] is not None


def test_another_users_endpoints_do_not_exist(api: EndpointsApi) -> None:
    """For every request, as if the id were unknown."""
    mine = api.request("POST", user="ada", status=201, url=URL)["id"]
    number = add_failed_delivery(mine)
    assert api.request("GET", user="bob") == {"endpoints": []}
    for method, path in (
        ("DELETE", ""),
        ("POST", "/enable"),
        ("POST", "/rotate"),
        ("GET", "/deliveries"),
        ("POST", f"/deliveries/{number}/replay"),
    ):
        refused = api.request(method, f"/{mine}{path}", "bob", status=404)
        unknown = api.request(method, f"/ep_none{path}", "bob", status=404)
        assert refused == unknown
    theirs = api.request("POST", user="bob", status=201, url=URL)["id"]
    api.request("POST", f"/{theirs}/deliveries/{number}/replay", "bob", status=404)
    operators = api.request("POST", status=201, url=URL)["id"]
    api.request("DELETE", f"/{operators}", "bob", status=404)
    assert len(api.request("GET")["endpoints"]) == 3
    assert api.client.get("/api/endpoints").status_code == 401


def test_deliveries_are_listed_and_replayed(api: EndpointsApi) -> None:
    """By state, and before an id."""
    mine = api.request("POST", user="ada", status=201, url=URL)["id"]
    number = add_failed_delivery(mine)
    assert [each["id"] for each in api.request("GET", f"/{mine}/deliveries?state=failed", "ada")["deliveries"]] == [
        number
    ]
    assert api.request("GET", f"/{mine}/deliveries?before={number}", "ada") == {"deliveries": []}
    api.request("POST", f"/{mine}/deliveries/{number}/replay", "ada", status=202)
    assert api.request("GET", f"/{mine}/deliveries", "ada")["deliveries"][0]["state"] == "waiting"
    api.request("GET", f"/{mine}/deliveries?state=lost", "ada", status=400)
    api.request("DELETE", f"/{mine}", "ada", status=204)
    api.request("GET", f"/{mine}/deliveries", "ada", status=404)


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://app.example.test/"},
        {"url": "https://user:secret@app.example.test/"},
        {"url": "file:///etc/passwd"},
        {"url": URL, "types": ["people"]},
        {"url": URL, "ops": "created"},
        {"url": URL, "sources": [""]},
        {"url": URL, "secret": "mine"},
        {"types": ["contact"]},
    ],
)
def test_invalid_input_is_refused(api: EndpointsApi, body: dict[str, Any]) -> None:
    """The error explains what is wrong, and does not repeat a possible secret."""
    refused = api.request("POST", user="ada", status=422, **body)
    assert refused["detail"]
    assert "secret@" not in refused["detail"]


def run_command(*words: str) -> Result:
    return CliRunner().invoke(main, ["endpoints", *words])


def test_the_command_does_the_same(api: EndpointsApi) -> None:
    """For the endpoints of all users."""
    assert "no endpoints" in run_command("list").output
    made = run_command("add", URL, "--user", "ada", "--type", "contact", "--op", "created", "--source", "webhook")
    endpoint, secret = made.output.split()
    assert secret.startswith("whsec_")
    row = json.loads(run_command("list", "--json").output)
    assert (row["user_id"], row["types"], row["ops"], row["sources"]) == ("ada", ["contact"], ["created"], ["webhook"])
    assert secret not in run_command("list").output
    assert api.request("GET", user="ada")["endpoints"][0]["id"] == endpoint
    assert run_command("rotate", endpoint).output.startswith("whsec_")
    assert run_command("enable", endpoint).exit_code == 0
    number = add_failed_delivery(endpoint)
    assert json.loads(run_command("deliveries", endpoint, "--json", "--state", "failed").output)["id"] == number
    assert run_command("replay", endpoint, str(number)).exit_code == 0
    assert "waiting" in run_command("deliveries", endpoint).output
    assert run_command("remove", endpoint).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("remove", "x"),
        ("enable", "x"),
        ("rotate", "x"),
        ("deliveries", "x"),
        ("replay", "x", "1"),
        ("add", "http://a.example"),
    ],
)
def test_the_command_explains_mistakes(api: EndpointsApi, words: tuple[str, ...]) -> None:
    """With exit code 1 and a sentence."""
    assert api
    outcome = run_command(*words)
    assert outcome.exit_code == 1
    assert outcome.output.startswith("Error: ")
