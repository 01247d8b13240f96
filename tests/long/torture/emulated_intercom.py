"""The pretend Intercom of a run: it lives, tells, sends through bad weather, and answers what is true."""

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

# Seconds before the one retry. Intercom waits a minute; a run has no time for that, and a shorter wait is harder on
# the receiver, which may not be back yet.
RETRY_AFTER_SECONDS = 4.0

# Deliveries under way at once. A receiver that was killed holds some for Intercom's five seconds.
THREADS = 24

WEATHER = NetworkFaults(duplicates=0.15, reordered=0.3, window_seconds=2.0)

# Its private app's token is known to the mirror, which therefore fills itself and asks the API about what is in doubt.
WORKSPACE = "torture1"

# Stands in a name and in a custom attribute of every contact that is changed by hand.
CANARY = "canary-5d1e8f"


class EmulatedIntercom:
    """
    One workspace, one sender, and its API and the truth on a port of its own.

    Args:
        target: where notifications are posted.
        seed: of the workspace, its life and the weather.
        contacts: how many there are at the start.
    """

    def __init__(self, target: str, seed: int, contacts: int) -> None:
        self.workspace = EmulatedWorkspace(WORKSPACE, seed=f"torture {seed}")
        self.told: dict[str, EmulatedNotification] = {}
        self.slowest = 0.0
        self.late = 0
        self.last_answer = 0.0
        sender = NotificationSender(
            WebhookTarget(target, DEVELOPMENT_CLIENT_SECRET), WEATHER, seed, RETRY_AFTER_SECONDS, THREADS
        )
        self.engine = Simulation(self.workspace, sender, seed, rate=0)
        sender.on_attempt = self._note
        self._life = RandomActivity(self.workspace, seed)
        self._beginning = populate(self.workspace, contacts, max(3, contacts // 20), seed)
        self._server = make_emulator_server(self.engine, 0)

    @property
    def sender(self) -> NotificationSender:
        return self.engine.sender

    @property
    def port(self) -> int:
        """Where the truth is asked for."""
        return int(self._server.server_port)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.sender.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.stop()
        self._server.shutdown()
        self._server.server_close()

    def live(self, notifications: int, rate: float, before_each: Callable[[int], None]) -> None:
        """
        Tell so many notifications, or a few more, at so many per second.

        `before_each` is told how many there were so far; it may take its time.
        """
        waiting = self._beginning
        began = time.monotonic()
        while len(self.told) < notifications:
            before_each(len(self.told))
            if not waiting:
                with self.engine.lock:
                    waiting = self._live_on()
            self._tell(waiting.pop(0))
            # If the faults took longer, life does not hurry afterwards.
            began = max(began, time.monotonic() - (len(self.told) + rate) / rate)
            # Life goes on at the rate that was asked for.
            time.sleep(max(0.0, began + len(self.told) / rate - time.monotonic()))
        for notification in waiting:
            self._tell(notification)

    def say(self, action: Callable[[EmulatedWorkspace], list[EmulatedNotification]]) -> list[EmulatedNotification]:
        """Let something happen by hand, and send it."""
        with self.engine.lock:
            told = action(self.workspace)
        for notification in told:
            self._tell(notification)
        return told

    def fetch(self, object_type: str, object_id: str) -> dict[str, Any]:
        """Answer what a GET by id would find."""
        with self.engine.lock:
            return self.workspace.fetch(object_type, object_id)

    def _live_on(self) -> list[EmulatedNotification]:
        # Once in a while somebody has a name that must not come up in any log.
        if len(self.told) % 50 == 0 and (contact_id := self.workspace.users.draw(self.workspace.rng)):
            attributes = {"note": f"{CANARY} {len(self.told)}"}
            changes = {"name": f"{CANARY} {len(self.told)}", "custom_attributes": attributes}
            return self.workspace.update_contact(contact_id, changes)
        return self._life.step()

    def _tell(self, notification: EmulatedNotification) -> None:
        assert notification.id is not None
        self.told[notification.id] = notification
        self.sender.send([notification])

    def _note(self, attempt: DeliveryAttempt) -> None:
        self.last_answer = time.monotonic()
        self.slowest = max(self.slowest, attempt.seconds)
        self.late += attempt.seconds >= RESPONSE_TIMEOUT_SECONDS


def address(port: int) -> str:
    """Return the webhook address of a web process on this machine."""
    return f"http://{HOST}:{port}/webhooks/intercom"
