"""
Faults of the delivery of notifications: delay, reordering, duplicates, loss.

A plan is computed before anything is sent, from a seed, so that the same history meets the same faults on every run.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emulator.emulated_notification import EmulatedNotification


@dataclass(frozen=True)
class NetworkFaults:
    """
    The probability of each fault.

    Attributes:
        loss: the share of notifications that are never sent, 0 to 1.
        duplicates: the share that is sent a second time, 0 to 1.
        reordered: the share that is held back by up to `window_seconds`, so that later ones arrive earlier, 0 to 1.
        window_seconds: the longest time that a notification or its duplicate is held back.
        delay_seconds: the delay of every notification.
    """

    loss: float = 0.0
    duplicates: float = 0.0
    reordered: float = 0.0
    window_seconds: float = 2.0
    delay_seconds: float = 0.0


# Every notification arrives at once, in order, and once.
NO_FAULTS = NetworkFaults()


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """One delivery; `due` is in seconds after the start."""

    due: float
    notification: EmulatedNotification


class DeliveryPlanner:
    """Plans the deliveries of one notification after another, from one seed."""

    def __init__(self, faults: NetworkFaults, seed: int = 1) -> None:
        self.faults = faults
        self._rng = random.Random(f"weather {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing

    def deliveries(self, notification: EmulatedNotification, emitted_at: float) -> list[PlannedDelivery]:
        """Return the deliveries of one notification, none if it is lost; `emitted_at` is in seconds after the start."""
        faults, rng = self.faults, self._rng
        # All numbers are drawn each time, so that changing one probability does not change the outcomes of the others.
        loss, duplicate, reorder = rng.random(), rng.random(), rng.random()
        first_hold, second_hold = rng.random(), rng.random()
        if loss < faults.loss:
            return []
        due = emitted_at + faults.delay_seconds
        hold = faults.window_seconds * first_hold if reorder < faults.reordered else 0.0
        result = [PlannedDelivery(due + hold, notification)]
        if duplicate < faults.duplicates:
            result.append(PlannedDelivery(due + faults.window_seconds * second_hold, notification))
        return result


def plan_deliveries(
    notifications: Iterable[EmulatedNotification], faults: NetworkFaults, seed: int = 1, rate: float = 100.0
) -> list[PlannedDelivery]:
    """Return all deliveries in the order of their due times, for `rate` notifications per second."""
    planner = DeliveryPlanner(faults, seed)
    return sorted(_all_deliveries(planner, notifications, rate), key=lambda delivery: delivery.due)


def _all_deliveries(
    planner: DeliveryPlanner, notifications: Iterable[EmulatedNotification], rate: float
) -> Iterator[PlannedDelivery]:
    for index, notification in enumerate(notifications):
        yield from planner.deliveries(notification, index / rate)
