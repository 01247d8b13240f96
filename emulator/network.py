"""
What the network and Intercom do to notifications on their way: delay, reorder, repeat and lose them.

A plan is made before anything is sent, from a seed, so that the same history meets the same weather on every run.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emulator.notification import Notification


@dataclass(frozen=True)
class Weather:
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
FINE = Weather()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to come: `due` in seconds after the start."""

    due: float
    notification: Notification


class Forecast:
    """Decides for one notification after the other, from one seed."""

    def __init__(self, weather: Weather, seed: int = 1) -> None:
        self.weather = weather
        self._rng = random.Random(f"weather {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing

    def deliveries(self, notification: Notification, told_at: float) -> list[Delivery]:
        """Return the deliveries of one notification, none if it gets lost; `told_at` in seconds after the start."""
        weather, rng = self.weather, self._rng
        # All dice are thrown every time, so that changing one probability leaves the others' outcomes as they were.
        lost, again, held = rng.random(), rng.random(), rng.random()
        first_hold, second_hold = rng.random(), rng.random()
        if lost < weather.loss:
            return []
        due = told_at + weather.delay_seconds
        hold = weather.window_seconds * first_hold if held < weather.reordered else 0.0
        result = [Delivery(due + hold, notification)]
        if again < weather.duplicates:
            result.append(Delivery(due + weather.window_seconds * second_hold, notification))
        return result


def plan(notifications: Iterable[Notification], weather: Weather, seed: int = 1, rate: float = 100.0) -> list[Delivery]:
    """Return all deliveries in the order in which they are due, when `rate` notifications are told per second."""
    forecast = Forecast(weather, seed)
    return sorted(_all(forecast, notifications, rate), key=lambda delivery: delivery.due)


def _all(forecast: Forecast, notifications: Iterable[Notification], rate: float) -> Iterator[Delivery]:
    for index, notification in enumerate(notifications):
        yield from forecast.deliveries(notification, index / rate)
