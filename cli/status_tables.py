"""The tables of `status`, for a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.status_data import Rates, Reading, totals
from cli.words import printable

# Characters of an id that are shown: enough to find it again among the last changes.
_SHOWN = 8


def draw(reading: Reading, rates: Rates) -> RenderableType:
    """Draw a reading: one line on the inbox, the rows by workspace, the last changes."""
    return Group(_inbox(reading, rates), _objects(reading), _changes(reading))


def _inbox(reading: Reading, rates: Rates) -> Text:
    sums = totals(reading.numbers)
    lag = "-" if rates.lag_seconds is None else _seconds(rates.lag_seconds)
    waiting = f"{reading.inbox['depth']} waiting, the oldest for {_seconds(reading.inbox['oldest_seconds'])}"
    so_far = ", ".join(f"{sums[name]} {name}" for name in ("accepted", "refused", "applied", "ignored"))
    lines = [
        f"rate      {rates.appended:.0f}/s into the inbox, {rates.applied:.0f}/s into tables, lag {lag}",
        f"inbox     {waiting}",
        f"so far    {so_far}; {reading.parked} parked",
    ]
    text = Text("\n".join(lines))
    if not reading.inbox["durable"]:
        text.append(f"\n{reading.inbox['sentence']}", style="yellow")
    return text


def _objects(reading: Reading) -> Table:
    table = Table("workspace", "objects", title="Rows", title_justify="left", box=box.SIMPLE)
    for name in ("rows", "to refetch", "last notification", "its lag"):
        table.add_column(name, justify="right")
    for each in reading.objects:
        lag = each["lag_seconds"]
        _add(
            table,
            f"{each['workspace_id']} (frozen)" if each["frozen_at"] else each["workspace_id"],
            each["object_type"],
            f"{each['rows']:,}",
            str(each["backlog"]),
            _clock(each["last_notification_at"]),
            "-" if lag is None else _seconds(lag),
        )
    return table


def _changes(reading: Reading) -> Table:
    table = Table(title="Last changes", title_justify="left", box=box.SIMPLE)
    for name in ("seq", "at", "what"):
        table.add_column(name, no_wrap=True)
    # The last one gives way on a narrow terminal; ids are cut so that it need not give way to them.
    table.add_column("fields")
    for each in reading.last_changes:
        _add(table, str(each["seq"]), _clock(each["at"]), _deed(each), ", ".join(each["changed_fields"]))
    return table


def _add(table: Table, *cells: str) -> None:
    # As Text, because rich reads markup in plain strings.
    table.add_row(*(Text(printable(cell), no_wrap=True, overflow="ellipsis") for cell in cells))


def _deed(change: Mapping[str, Any]) -> str:
    deed = f"{change['object_type']} {_end(change['object_id'])} {change['op']}"
    return f"{deed} {change['related_type']} {_end(change['related_id'])}" if change["related_id"] else deed


def _end(identity: str) -> str:
    # Intercom's ids begin with the time, so their ends tell them apart.
    return identity if len(identity) <= _SHOWN else f"…{identity[-_SHOWN:]}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _clock(moment: datetime | None) -> str:
    return "-" if moment is None else moment.astimezone().strftime("%H:%M:%S")
