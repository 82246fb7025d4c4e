"""What commands print: tables for people, or JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from optimove_provider.cli.command import option
from optimove_provider.contract.wire.shown import shown

TABLE, JSON = "table", "json"
OUTPUT = option("--output", choices=(TABLE, JSON), default=TABLE, help="for people or for programs (default: table)")
_WIDEST = 200
"""Characters of a line where nobody's terminal says how many there are."""


def write_json(value: object, out: TextIO) -> None:
    """A JSON value, indented."""
    out.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO, title: str = "") -> None:
    """A table; numbers stand to the right. What comes from outside is shown in one line a cell."""
    from rich.table import Table
    from rich.text import Text

    found = [list(row) for row in rows]
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        is_number = bool(found) and all(isinstance(row[number], int | float | None) for row in found)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in found:
        table.add_row(*(Text(_cell(value)) for value in row))
    _console(out).print(table)


def write_facts(facts: Mapping[str, Any], out: TextIO) -> None:
    """Names and values below one another; what is empty is left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value not in (None, "", 0):
            table.add_row(Text(name, style="bold"), Text(_cell(value)))
    _console(out).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.1f}" if isinstance(value, float) else shown(str(value))


def _console(out: TextIO) -> Any:
    from rich.console import Console

    console = Console(file=out, highlight=False)
    if not out.isatty():
        console.width = _WIDEST
    return console
