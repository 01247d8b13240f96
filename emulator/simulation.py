"""A running emulator: one workspace, one sender, a lock around both, and the trickle of everyday life."""

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

# So many of the last attempts are shown on the page.
_REMEMBERED = 60
# Deeds per second at most: beyond it the page's machine would be measured and not the product's.
FASTEST = 200.0


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the page's log; `attempt` 0 is a notification that the weather took."""

    at_ms: int
    id: str | None
    topic: str
    object_id: str
    attempt: int
    status: int | None
    seconds: float


class Simulation:
    """
    What happens in the workspace is sent, and life goes on by itself while it is used as a context manager.

    Args:
        workspace: nobody else may act in it but through `act`.
        sender: its weather can be changed while it runs.
        seed: of everyday life.
        rate: deeds per second while the trickle runs.
    """

    def __init__(
        self, workspace: EmulatedWorkspace, sender: NotificationSender, seed: int = 1, rate: float = 1.0
    ) -> None:
        self.workspace = workspace
        self.sender = sender
        self.rate = rate
        self.running = rate > 0
        self.log: deque[LogEntry] = deque(maxlen=_REMEMBERED)
        self.lock = threading.RLock()
        self._life = RandomActivity(workspace, seed)
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._trickle, daemon=True)
        sender.on_attempt = self._note

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def act(self, action: Callable[[EmulatedWorkspace], list[EmulatedNotification]]) -> list[EmulatedNotification]:
        """Let something happen in the workspace, and send what it tells."""
        with self.lock:
            told = action(self.workspace)
            self.send(told)
        return told

    def send(self, told: list[EmulatedNotification], rate: float | None = None) -> None:
        """Send notifications, and note those that get lost."""
        now = self.workspace.clock()
        for lost in self.sender.send(told, rate):
            self.log.append(LogEntry(now, lost.id, lost.topic, lost.object_id, 0, None, 0.0))

    def control(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """
        Change what runs: `running` (bool), `rate` (deeds per second), and the fields of `NetworkFaults`.

        Raises:
            RefusedError: an unknown name, or a value out of its range; nothing is changed.
        """
        settings = self.settings()
        for name, value in wanted.items():
            _check(name, value, settings)
        weather = {name: float(value) for name, value in wanted.items() if name in asdict(self.weather)}
        self.sender.planner.faults = replace(self.weather, **weather)
        self.rate = float(wanted.get("rate", self.rate))
        self.running = bool(wanted.get("running", self.running))
        self._wake.set()
        return self.settings()

    @property
    def weather(self) -> NetworkFaults:
        """What happens to notifications on their way."""
        return self.sender.planner.faults

    def settings(self) -> dict[str, Any]:
        """Return what `control` can change, as it is now."""
        return {"running": self.running, "rate": self.rate, **asdict(self.weather)}

    def _trickle(self) -> None:
        while not self._stopped:
            idle = not self.running or self.rate <= 0
            self._wake.wait(None if idle else 1 / self.rate)
            if self._wake.is_set():
                # Something was changed by hand: look again before going on.
                self._wake.clear()
            elif not idle:
                self.act(lambda _: self._life.step())

    def _note(self, attempt: DeliveryAttempt) -> None:
        told = attempt.notification
        now = self.workspace.clock()
        self.log.append(
            LogEntry(now, told.id, told.topic, told.object_id, attempt.number, attempt.status, attempt.seconds)
        )


def _check(name: str, value: object, settings: Mapping[str, Any]) -> None:
    if name not in settings:
        raise RefusedError(f"There is no setting {name!r}; there are {', '.join(settings)}.")
    if name == "running":
        if not isinstance(value, bool):
            raise RefusedError("'running' is true or false.")
        return
    most = {"rate": FASTEST, "window_seconds": 60.0, "delay_seconds": 60.0}.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise RefusedError(f"{name!r} is a number from 0 to {most:g}.")
