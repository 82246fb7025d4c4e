"""Reads a file as the DCP importer does, row by row: header rules, then the contract's rule for each cell.

Documented (guide, "CSV format requirements"): the header names customerId once, in any case, and registered
attributes; a double quote inside a cell is doubled, and the cell is in quotes. Guesses, besides those of the switches:
UTF-8; a blank line is no row; a quoted cell may not go on after its closing quote; a cell has at most 131,072
characters.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.contract.cells.values import json_value
from optimove_provider.emulator.importer.guesses import Dropped, is_refused
from optimove_provider.emulator.importer.raw_text import RawLines
from optimove_provider.emulator.model.dcp import CellValue, Table
from optimove_provider.emulator.model.switches import Switches

REMEMBERED_IDS = 100_000
"""So many of a file are compared with those that follow."""


class BadFile(Exception):
    """Nothing of the file can be imported; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One data row, counted from 1. `error` names the first thing that is wrong with it, or is empty.

    A value that is None is taken away.
    """

    number: int
    customer_id: str
    values: dict[str, CellValue | None] = field(default_factory=dict)
    error: str = ""


def read_rows(stream: BinaryIO, key: str, table: Table, switches: Switches) -> Iterator[Row]:
    """The rows of a file, in constant memory. Raises BadFile for a header or text that cannot be read."""
    with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        try:
            lines = RawLines(text, key, switches)
            columns = _columns(next(lines, []), table)
            numbered = enumerate((cells for cells in lines if cells), start=1)
            yield from _first_of_each((_row(*one, columns, switches) for one in numbered), switches)
        except csv.Error as error:
            raise BadFile(f"line {lines.line_number} cannot be read: {error}") from None
        except UnicodeDecodeError as error:
            raise BadFile(f"the file is no UTF-8 text: {error.reason}") from None


def _first_of_each(rows: Iterator[Row | None], switches: Switches) -> Iterator[Row]:
    """The rows, without those that are dropped; of a customer who came before, what the switch says."""
    seen: set[str] = set()
    for row in rows:
        if row is None:
            continue
        is_again = row.customer_id in seen and not row.error
        if not is_again or switches.duplicate_ids == "last":
            yield row
        elif switches.duplicate_ids == "error":
            yield Row(row.number, row.customer_id, error=f"row {row.number}: {row.customer_id!r:.100} came before")
        if len(seen) < REMEMBERED_IDS:
            seen.add(row.customer_id)


def _columns(header: Sequence[str], table: Table) -> list[Attribute | None]:
    """The attribute of each column, None for the key. Raises BadFile."""
    if sum(is_key_column(name) for name in header) != 1:
        raise BadFile("the header must name customerId, once")
    # Guess: a column twice is refused; so is an archived attribute, which can neither be read nor written.
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise BadFile(f"the header names twice: {', '.join(map(repr, twice))}")
    registered = {name: found.attribute for name, found in table.attributes.items() if not found.attribute.archived}
    unknown = [name for name in header if not is_key_column(name) and name not in registered]
    if unknown:
        raise BadFile(f"the header names no registered attribute of the table: {', '.join(map(repr, unknown))}")
    return [None if is_key_column(name) else registered[name] for name in header]


def _row(number: int, cells: Sequence[str], columns: Sequence[Attribute | None], switches: Switches) -> Row | None:
    """The row, or None if it is dropped."""
    if len(cells) != len(columns):
        # Guess: a row that is too short or too long is a bad row.
        return Row(number, "", error=f"row {number} has {len(cells)} cells, the header has {len(columns)}")
    customer_id = cells[columns.index(None)]
    if not customer_id:
        return Row(number, "", error=f"row {number}, column 'customerId': the value is missing")
    values: dict[str, CellValue | None] = {}
    for cell, attribute in zip(cells, columns, strict=True):
        if attribute is None:
            continue
        try:
            error = _write_cell(attribute, cell, values, switches)
        except Dropped:
            return None
        if error:
            return Row(number, customer_id, error=f"row {number}, column {attribute.name!r}: {error}")
    return Row(number, customer_id, values)


def _write_cell(attribute: Attribute, cell: str, values: dict[str, CellValue | None], switches: Switches) -> str:
    """Add what a cell writes to the row's values; returns what is wrong with it. Raises Dropped."""
    if not cell:
        if switches.empty_cells == "error":
            return "the value is missing"
        if switches.empty_cells == "clear":
            values[attribute.name] = None
    elif is_refused(attribute, cell, switches):
        return f"{cell[:100]!r} is not {attribute.rule.expects}"
    else:
        values[attribute.name] = json_value(attribute, cell)
    return ""
