"""The tables of `status`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.status_data import Rates, Reading, totals
from cli.terminal import printable
from settings.units import MS_PER_SECOND

# Characters of an id that are shown: enough to recognise it among the latest changes.
_ID_CHARACTERS = 8


def draw(reading: Reading, rates: Rates) -> RenderableType:
    """Return a reading as tables: the inbox, the rows by workspace, the latest changes."""
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
    for name in ("rows", "to refetch", "last notification", "lag"):
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
    table = Table(title="Latest changes", title_justify="left", box=box.SIMPLE)
    for name in ("seq", "at", "what"):
        table.add_column(name, no_wrap=True)
    # The last column is cut on a narrow terminal. Ids are shortened so that they leave room for it.
    table.add_column("fields")
    for each in reading.last_changes:
        _add(table, str(each["seq"]), _clock(each["at"]), _describe(each), ", ".join(each["changed_fields"]))
    return table


def _add(table: Table, *cells: str) -> None:
    # As Text, because rich would interpret markup in plain strings.
    table.add_row(*(Text(printable(cell), no_wrap=True, overflow="ellipsis") for cell in cells))


def _describe(change: Mapping[str, Any]) -> str:
    text = f"{change['object_type']} {_end(change['object_id'])} {change['op']}"
    return f"{text} {change['related_type']} {_end(change['related_id'])}" if change["related_id"] else text


def _end(identity: str) -> str:
    # Intercom's ids begin with the time of creation, so their ends distinguish them.
    return identity if len(identity) <= _ID_CHARACTERS else f"…{identity[-_ID_CHARACTERS:]}"


def _seconds(value: float) -> str:
    return f"{value * MS_PER_SECOND:.0f} ms" if value < 1 else f"{value:.1f} s"


def _clock(moment: datetime | None) -> str:
    return "-" if moment is None else moment.astimezone().strftime("%H:%M:%S")
