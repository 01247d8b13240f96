"""A running workspace: the workspace, its sender, a lock around both, and the random activity."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from emulator.delivery_log import DeliveryAttempt
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import RefusedError
from emulator.network_faults import NetworkFaults
from emulator.notification_sender import NotificationSender
from emulator.random_activity import RandomActivity
from emulator.workspace import EmulatedWorkspace

# The number of delivery attempts that the page shows.
_LOGGED = 60
# The greatest rate in operations per second. Above it the emulator itself would be the limit of a measurement.
FASTEST = 200.0
# The greatest value of a time setting, in seconds.
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the page's log; `attempt` 0 is a notification that was lost."""

    at_ms: int
    id: str | None
    topic: str
    object_id: str
    attempt: int
    status: int | None
    seconds: float


class Simulation:
    """
    Sends the notifications of all changes. As a context manager it also runs random activity.

    Args:
        workspace: change it only through `act`.
        sender: its faults may change at any time.
        seed: the seed of the random activity.
        rate: random operations per second.

    Attributes:
        running: whether the random activity runs.
        lock: protects the workspace.
    """

    def __init__(
        self, workspace: EmulatedWorkspace, sender: NotificationSender, seed: int = 1, rate: float = 1.0
    ) -> None:
        self.workspace = workspace
        self.sender = sender
        self.rate = rate
        self.running = rate > 0
        self.log: deque[LogEntry] = deque(maxlen=_LOGGED)
        self.lock = threading.RLock()
        self._activity = RandomActivity(workspace, seed)
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run_activity, daemon=True)
        sender.on_attempt = self._log_attempt

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def act(self, action: Callable[[EmulatedWorkspace], list[EmulatedNotification]]) -> list[EmulatedNotification]:
        """Change the workspace, and send the notifications of the change."""
        with self.lock:
            notifications = action(self.workspace)
            self.send(notifications)
        return notifications

    def send(self, notifications: list[EmulatedNotification], rate: float | None = None) -> None:
        """Send notifications, and log those that are lost."""
        now = self.workspace.clock()
        for lost in self.sender.send(notifications, rate):
            self.log.append(LogEntry(now, lost.id, lost.topic, lost.object_id, 0, None, 0.0))

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """
        Change `running` (bool), `rate` (operations per second) and the fields of `NetworkFaults`.

        Raises:
            RefusedError: an unknown name or an impossible value; nothing is changed.
        """
        settings = self.settings()
        for name, value in changes.items():
            _check_setting(name, value, settings)
        faults = {name: float(value) for name, value in changes.items() if name in asdict(self.faults)}
        self.sender.planner.faults = replace(self.faults, **faults)
        self.rate = float(changes.get("rate", self.rate))
        self.running = bool(changes.get("running", self.running))
        self._wake.set()
        return self.settings()

    @property
    def faults(self) -> NetworkFaults:
        """The network faults of the notifications."""
        return self.sender.planner.faults

    def settings(self) -> dict[str, Any]:
        """Return the settings that `control` can change."""
        return {"running": self.running, "rate": self.rate, **asdict(self.faults)}

    def _run_activity(self) -> None:
        """
        Run random operations until the simulation stops.

        1. Wait for the time between two operations, or without limit while the activity is off.
        2. If a setting changed meanwhile, start again.
        3. Run one operation, and send its notifications.
        """
        while not self._stopped:
            idle = not self.running or self.rate <= 0
            self._wake.wait(None if idle else 1 / self.rate)
            if self._wake.is_set():
                self._wake.clear()
            elif not idle:
                self.act(lambda _: self._activity.step())

    def _log_attempt(self, attempt: DeliveryAttempt) -> None:
        notification, now = attempt.notification, self.workspace.clock()
        entry = LogEntry(
            now,
            notification.id,
            notification.topic,
            notification.object_id,
            attempt.number,
            attempt.status,
            attempt.seconds,
        )
        self.log.append(entry)


def _check_setting(name: str, value: object, settings: Mapping[str, Any]) -> None:
    if name not in settings:
        raise RefusedError(f"Unknown setting {name!r}. The settings are {', '.join(settings)}.")
    if name == "running":
        if not isinstance(value, bool):
            raise RefusedError("'running' must be true or false.")
        return
    most = {"rate": FASTEST, "window_seconds": _LONGEST_SECONDS, "delay_seconds": _LONGEST_SECONDS}.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise RefusedError(f"{name!r} must be a number from 0 to {most:g}.")
