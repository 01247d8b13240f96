"""Output of the commands: text that is safe for a terminal, rows as JSON lines or as a table."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]


def printable(text: str) -> str:
    """Escape what a terminal would interpret or a reader would not see; line breaks stay."""
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text)


def jsonable(row: Row) -> dict[str, Any]:
    """Return a row with its times in ISO 8601."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def local_time(moment: datetime | None) -> str:
    """Format a time in the zone of this machine; a dash for None."""
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_rows(rows: Sequence[Row], table: "Callable[[Sequence[Row]], Table]", empty: str, *, as_json: bool) -> None:
    """Print rows as JSON lines or as a table; if there are none, print `empty`, or with JSON nothing."""
    from rich.console import Console  # noqa: PLC0415 -- 0.1 s, which commands that print no table do without

    if as_json:
        for row in rows:
            click.echo(json.dumps(jsonable(row)))
    elif rows:
        Console().print(table(rows))
    else:
        click.echo(empty)


def make_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    """Return a table of texts; rich would interpret markup in plain strings, so each becomes a Text."""
    from rich import box  # noqa: PLC0415 -- as above
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=box.SIMPLE)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
