"""Reads a file as the DCP importer does, row by row: header rules, then the contract's rule for each cell.

Documented (guide, "CSV format requirements"): the header names customerId once, in any case, and registered
attributes; a double quote inside a cell is doubled. Guesses: UTF-8, with or without a byte order mark; spaces
after a comma are skipped, since the vendor's sample row has them; a blank line is no row; an empty cell
writes nothing; a quoted cell may not go on after its closing quote; a cell has at most 131,072 characters; a
file whose name ends in .tsv has tabs, every other one commas.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from optimove_provider.contract.cells.datatypes import Attribute, Verdict, is_key_column
from optimove_provider.contract.cells.values import json_value
from optimove_provider.emulator.model.dcp import CellValue, Table


class BadFile(Exception):
    """Nothing of the file can be imported; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One data row, counted from 1. `error` names the first thing that is wrong with it, or is empty."""

    number: int
    customer_id: str
    values: dict[str, CellValue]
    error: str = ""


def read_rows(stream: BinaryIO, key: str, table: Table, lower_bool: bool = False) -> Iterator[Row]:
    """The rows of a file, in constant memory. Raises BadFile for a header or text that cannot be read."""
    delimiter = "\t" if key.lower().endswith(".tsv") else ","
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            columns = _columns(next(reader, []), table)
            rows = (cells for cells in reader if cells)
            for number, cells in enumerate(rows, start=1):
                yield _row(number, cells, columns, lower_bool)
        except csv.Error as error:
            raise BadFile(f"line {reader.line_num} cannot be read: {error}") from None
        except UnicodeDecodeError as error:
            raise BadFile(f"the file is no UTF-8 text: {error.reason}") from None


def _columns(header: Sequence[str], table: Table) -> list[Attribute | None]:
    """The attribute of each column, None for the key. Raises BadFile."""
    if sum(is_key_column(name) for name in header) != 1:
        raise BadFile("the header must name customerId, once")
    # Guess: a column twice is refused; so is an archived attribute, which can neither be read nor written.
    if twice := [name for name in dict.fromkeys(header) if header.count(name) > 1]:
        raise BadFile(f"the header names twice: {', '.join(map(repr, twice))}")
    registered = {name: found.attribute for name, found in table.live.items()}
    unknown = [name for name in header if not is_key_column(name) and name not in registered]
    if unknown:
        raise BadFile(f"the header names no registered attribute of the table: {', '.join(map(repr, unknown))}")
    return [None if is_key_column(name) else registered[name] for name in header]


def _row(number: int, cells: Sequence[str], columns: Sequence[Attribute | None], lower_bool: bool) -> Row:
    if len(cells) != len(columns):
        # Guess: a row that is too short or too long is a bad row.
        return Row(number, "", {}, f"row {number} has {len(cells)} cells, the header has {len(columns)}")
    customer_id = cells[columns.index(None)]
    if not customer_id:
        return Row(number, "", {}, f"row {number}, column 'customerId': the value is missing")
    values = {}
    for cell, attribute in zip(cells, columns, strict=True):
        if attribute is None or not cell:
            continue
        rule = attribute.rule
        if rule.judge(cell, strict=lower_bool and rule.name == "bool") is Verdict.INVALID:
            error = f"row {number}, column {attribute.name!r}: {cell[:100]!r} is not {rule.expects}"
            return Row(number, customer_id, {}, error)
        values[attribute.name] = json_value(attribute, cell)
    return Row(number, customer_id, values)
