"""Medians, percentiles, and how they are written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

# From these values on a figure is written with none, or one, digit behind the point: three digits mean something.
_WHOLE_FROM = 100
_TENTHS_FROM = 10


@dataclass(frozen=True)
class Spread:
    """The median of some runs, the lowest, the highest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return written(self.median)
        return f"{written(self.median)} ({written(self.low)} to {written(self.high)})"


def spread(values: Sequence[float]) -> Spread:
    """Return median, minimum and maximum."""
    return Spread(median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of a hundred stay below."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written(value: float) -> str:
    """Return a figure with three digits."""
    digits = 0 if value >= _WHOLE_FROM else 1 if value >= _TENTHS_FROM else 2
    return f"{value:,.{digits}f}"
