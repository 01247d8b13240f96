"""Medians, percentiles, and their format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

# From these values on, a figure is written with no, or one, decimal: three digits are significant.
_WHOLE_FROM = 100
_TENTHS_FROM = 10


@dataclass(frozen=True)
class Spread:
    """The median, minimum and maximum of some runs."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return format_figure(self.median)
        return f"{format_figure(self.median)} ({format_figure(self.low)} to {format_figure(self.high)})"


def spread(values: Sequence[float]) -> Spread:
    """Return median, minimum and maximum."""
    return Spread(median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the percentile `percent`."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_figure(value: float) -> str:
    """Format a figure with three significant digits."""
    digits = 0 if value >= _WHOLE_FROM else 1 if value >= _TENTHS_FROM else 2
    return f"{value:,.{digits}f}"
