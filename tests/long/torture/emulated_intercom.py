"""The emulated Intercom of a torture run: random activity, unreliable delivery, and the true state of the workspace."""

import threading
import time
from collections.abc import Callable
from typing import Any, Self

from emulator.delivery_log import DeliveryAttempt
from emulator.emulated_notification import EmulatedNotification
from emulator.network_faults import NetworkFaults
from emulator.notification_sender import RESPONSE_TIMEOUT_SECONDS, NotificationSender, WebhookTarget
from emulator.random_activity import RandomActivity, populate
from emulator.simulation import Simulation
from emulator.web_app import HOST, make_emulator_server
from emulator.workspace import EmulatedWorkspace
from settings.environment import DEVELOPMENT_CLIENT_SECRET

# Seconds before the one retry. Intercom waits a minute; a run has no time for that, and a shorter pause is harder for
# the receiver, which may not be back yet.
RETRY_AFTER_SECONDS = 4.0

# Deliveries under way at once. A receiver that was killed delays some for Intercom's five seconds.
THREADS = 24

NETWORK_FAULTS = NetworkFaults(duplicates=0.15, reordered=0.3, window_seconds=2.0)

# The mirror has the token of its private app, so it runs a backfill and refetches dirty objects.
WORKSPACE = "torture1"

# Part of the name and of a custom attribute of every contact that is changed by the run itself.
CANARY = "canary-5d1e8f"
# One of so many notifications is about such a contact.
_CANARY_EVERY = 50


class EmulatedIntercom:
    """
    One workspace, one sender, and a server for its API and its true state.

    Args:
        target: the URL to which notifications are posted.
        seed: of the workspace, its activity and the network faults.
        contacts: the number of contacts at the start.
    """

    def __init__(self, target: str, seed: int, contacts: int) -> None:
        self.workspace = EmulatedWorkspace(WORKSPACE, seed=f"torture {seed}")
        self.sent: dict[str, EmulatedNotification] = {}
        self.slowest = 0.0
        self.late = 0
        self.last_response = 0.0
        sender = NotificationSender(
            WebhookTarget(target, DEVELOPMENT_CLIENT_SECRET), NETWORK_FAULTS, seed, RETRY_AFTER_SECONDS, THREADS
        )
        self.simulation = Simulation(self.workspace, sender, seed, rate=0)
        sender.on_attempt = self._record_attempt
        self._activity = RandomActivity(self.workspace, seed)
        self._initial = populate(self.workspace, contacts, max(3, contacts // 20), seed)
        self._server = make_emulator_server(self.simulation, 0)

    @property
    def sender(self) -> NotificationSender:
        return self.simulation.sender

    @property
    def port(self) -> int:
        """The port of the API."""
        return int(self._server.server_port)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.sender.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.stop()
        self._server.shutdown()
        self._server.server_close()

    def generate(self, notifications: int, rate: float, before_each: Callable[[int], None]) -> None:
        """
        Send at least so many notifications, at `rate` per second.

        `before_each` gets the number of notifications sent so far; it may block.
        """
        waiting = self._initial
        began = time.monotonic()
        while len(self.sent) < notifications:
            before_each(len(self.sent))
            if not waiting:
                with self.simulation.lock:
                    waiting = self._next_notifications()
            self._send(waiting.pop(0))
            # If a fault took longer, the activity does not hurry afterwards.
            began = max(began, time.monotonic() - (len(self.sent) + rate) / rate)
            # Sleeping keeps the requested rate.
            time.sleep(max(0.0, began + len(self.sent) / rate - time.monotonic()))
        for notification in waiting:
            self._send(notification)

    def fetch(self, object_type: str, object_id: str) -> dict[str, Any]:
        """Return what a GET by id would find."""
        with self.simulation.lock:
            return self.workspace.fetch(object_type, object_id)

    def _next_notifications(self) -> list[EmulatedNotification]:
        # Now and then a contact gets a name that must not occur in any log.
        if len(self.sent) % _CANARY_EVERY == 0 and (contact_id := self.workspace.users.draw(self.workspace.rng)):
            attributes = {"note": f"{CANARY} {len(self.sent)}"}
            changes = {"name": f"{CANARY} {len(self.sent)}", "custom_attributes": attributes}
            return self.workspace.update_contact(contact_id, changes)
        return self._activity.step()

    def _send(self, notification: EmulatedNotification) -> None:
        assert notification.id is not None
        self.sent[notification.id] = notification
        self.sender.send([notification])

    def _record_attempt(self, attempt: DeliveryAttempt) -> None:
        self.last_response = time.monotonic()
        self.slowest = max(self.slowest, attempt.seconds)
        self.late += attempt.seconds >= RESPONSE_TIMEOUT_SECONDS


def webhook_url(port: int) -> str:
    """Return the webhook address of a web process on this machine."""
    return f"http://{HOST}:{port}/webhooks/intercom"
