"""A client of the emulated API without HTTP, over a workspace with a manual clock and recorded notifications."""

import json as codec
from typing import Any
from urllib.parse import urlencode

from emulator.api.api_request import ApiRequest, ApiResponse
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace

# 2026-11-18T11:06:40 UTC, a Wednesday, in milliseconds.
NOW = 1_795_000_000_000
DAY = 86_400
SECRET = "cs_example"
TARGET = "http://127.0.0.1:9/webhooks/intercom"


class RecordingSender(NotificationSender):
    """Records notifications instead of sending them."""

    def __init__(self) -> None:
        super().__init__(WebhookTarget(TARGET, SECRET))
        self.recorded: list[EmulatedNotification] = []

    def send(self, notifications: Any, rate: float | None = None) -> list[EmulatedNotification]:
        del rate
        self.recorded += notifications
        return []


class Api:
    """A workspace and a client of its API with the token of its private app."""

    def __init__(self, workspace_id: str = "demo0001", region: str = "US", timezone: str = "Etc/UTC") -> None:
        self.clock = ManualClock(NOW)
        self.sender = RecordingSender()
        self.workspace = EmulatedWorkspace(workspace_id, clock=self.clock, region=region, timezone=timezone)
        self.simulation = Simulation(self.workspace, self.sender, rate=0)
        self.intercom = IntercomEmulator([self.simulation])
        self.switches = self.intercom.switches
        self.token = f"dev-token-{workspace_id}"
        self.version: str | None = None

    def call(self, method: str, path: str, json: object = None, region: str = "us", **query: object) -> ApiResponse:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        if self.version:
            headers["intercom-version"] = self.version
        body = b"" if json is None else codec.dumps(json).encode()
        return self.intercom.respond(ApiRequest(method, region, path, urlencode(query), headers, body))

    def ok(self, method: str, path: str, json: object = None, **query: object) -> Any:
        response = self.call(method, path, json, **query)  # type: ignore[arg-type]
        assert response.status == 200, response.content
        return codec.loads(response.content)

    def error(self, method: str, path: str, json: object = None, **query: object) -> tuple[int, str]:
        """Return the status and the error code of a call that fails."""
        response = self.call(method, path, json, **query)  # type: ignore[arg-type]
        error = codec.loads(response.content)
        assert error["type"] == "error.list"
        assert error["request_id"]
        return response.status, error["errors"][0]["code"]

    def error_message(self, method: str, path: str, json: object = None, **query: object) -> str:
        """Return the error message of a call that fails."""
        return str(codec.loads(self.call(method, path, json, **query).content)["errors"][0]["message"])  # type: ignore[arg-type]

    def user(self, **values: object) -> str:
        """Create a user; return its id."""
        with self.simulation.lock:
            return self.workspace.create_contact("user", values)[0].object_id

    def lead(self, **values: object) -> str:
        """Create a lead; return its id."""
        with self.simulation.lock:
            return self.workspace.create_contact("lead", values)[0].object_id

    def company(self, *contact_ids: str, **values: object) -> str:
        """Create a company with contacts; return its id."""
        with self.simulation.lock:
            company_id = self.workspace.create_company(values)[0].object_id
            for contact_id in contact_ids:
                self.workspace.attach(contact_id, company_id)
        return company_id

    def search(self, query: object, **rest: object) -> list[str]:
        """Return the ids in the result of a search, in order."""
        return [each["id"] for each in self.ok("POST", "/contacts/search", {"query": query, **rest})["data"]]

    def topics(self) -> list[str]:
        """Return the topics of the notifications since the last call."""
        topics = [notification.topic for notification in self.sender.recorded]
        self.sender.recorded.clear()
        return topics


def condition(field: str, operator: str, value: object) -> dict[str, object]:
    """Return one filter of a search."""
    return {"field": field, "operator": operator, "value": value}


def every(*conditions: object) -> dict[str, object]:
    """Return a group whose conditions must all be met."""
    return {"operator": "AND", "value": list(conditions)}


def any_of(*conditions: object) -> dict[str, object]:
    """Return a group with at least one condition that must be met."""
    return {"operator": "OR", "value": list(conditions)}
