"""
What the network and Intercom do to notifications on their way: delay, reorder, repeat and lose them.

A plan is made before anything is sent, from a seed, so that the same history meets the same weather on every run.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emulator.emulated_notification import EmulatedNotification


@dataclass(frozen=True)
class NetworkFaults:
    """
    How likely each mishap is.

    Attributes:
        loss: share of notifications that are never sent, 0 to 1.
        duplicates: share that is sent once more, 0 to 1.
        reordered: share that is held back by up to `window_seconds`, so that later ones overtake, 0 to 1.
        window_seconds: how far a notification or its duplicate may be held back.
        delay_seconds: what every notification waits.
    """

    loss: float = 0.0
    duplicates: float = 0.0
    reordered: float = 0.0
    window_seconds: float = 2.0
    delay_seconds: float = 0.0


# Everything arrives at once, in order, and once.
NO_FAULTS = NetworkFaults()


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """One attempt to come: `due` in seconds after the start."""

    due: float
    notification: EmulatedNotification


class DeliveryPlanner:
    """Decides for one notification after the other, from one seed."""

    def __init__(self, faults: NetworkFaults, seed: int = 1) -> None:
        self.faults = faults
        self._rng = random.Random(f"weather {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing

    def deliveries(self, notification: EmulatedNotification, told_at: float) -> list[PlannedDelivery]:
        """Return the deliveries of one notification, none if it gets lost; `told_at` in seconds after the start."""
        faults, rng = self.faults, self._rng
        # All dice are thrown every time, so that changing one probability leaves the others' outcomes as they were.
        lost, again, held = rng.random(), rng.random(), rng.random()
        first_hold, second_hold = rng.random(), rng.random()
        if lost < faults.loss:
            return []
        due = told_at + faults.delay_seconds
        hold = faults.window_seconds * first_hold if held < faults.reordered else 0.0
        result = [PlannedDelivery(due + hold, notification)]
        if again < faults.duplicates:
            result.append(PlannedDelivery(due + faults.window_seconds * second_hold, notification))
        return result


def plan_deliveries(
    notifications: Iterable[EmulatedNotification], faults: NetworkFaults, seed: int = 1, rate: float = 100.0
) -> list[PlannedDelivery]:
    """Return all deliveries in the order in which they are due, when `rate` notifications are told per second."""
    forecast = DeliveryPlanner(faults, seed)
    return sorted(_all(forecast, notifications, rate), key=lambda delivery: delivery.due)


def _all(
    forecast: DeliveryPlanner, notifications: Iterable[EmulatedNotification], rate: float
) -> Iterator[PlannedDelivery]:
    for index, notification in enumerate(notifications):
        yield from forecast.deliveries(notification, index / rate)
