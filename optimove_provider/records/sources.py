"""Rows from where they are, as a stream of Arrow record batches: never a whole file, never a whole result set.

Files and cursors begin with an empty batch, so that their columns are known even if they have no rows.
"""

import csv
import io
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa

from optimove_provider.contract.errors import DataError
from optimove_provider.records.reading import check_name, delimiter_of

BATCH_ROWS = 5000
MAX_LIST_ROWS = 5000
"""A list is held in memory, and in the task's rendered fields: what is longer belongs in a file or a query."""

Columns = Mapping[str, Sequence[Any]]


def csv_batches(stream: BinaryIO, name: str) -> Generator[pa.RecordBatch, None, None]:
    """The rows of an unpacked CSV file (a TSV by its name), as text: 00123 stays 00123. Blank lines are no rows.

    Raises DataError for a header that is missing or doubled, a row of another length, a quote that is never closed,
    or bytes that are not UTF-8.
    """
    check_name(name)
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    reader = csv.reader(text, strict=True, delimiter=delimiter_of(name))
    try:
        header = next(reader, None)
        if not header:
            raise DataError(f"source {name!r} has no header row")
        _refuse_doubled(header, f"source {name!r}")
        yield _text_batch(header, [])
        yield from _text_batches(reader, header, name)
    except UnicodeDecodeError as error:
        raise DataError(f"source {name!r} is not UTF-8 after line {reader.line_num}: {error.reason}") from None
    except csv.Error as error:
        raise DataError(f"source {name!r}, line {reader.line_num}: {error}") from None
    finally:
        if not stream.closed:
            text.detach()


def _text_batches(reader: Iterator[list[str]], header: list[str], name: str) -> Iterator[pa.RecordBatch]:
    numbered = enumerate((row for row in reader if row), 1)
    while rows := list(islice(numbered, BATCH_ROWS)):
        for number, row in rows:
            if len(row) != len(header):
                raise DataError(
                    f"source {name!r}, row {number}: {len(row)} columns, but the header has {len(header)}: {row!r:.200}"
                )
        yield _text_batch(header, [row for _, row in rows])


def _text_batch(header: list[str], rows: list[list[str]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], names=header)


def list_batches(rows: Sequence[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """A short list of rows as one batch. A field that a row lacks is null there."""
    if len(rows) > MAX_LIST_ROWS:
        raise DataError(f"{len(rows)} records in a list: at most {MAX_LIST_ROWS}; give a file or a query instead")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise DataError(f"row {number} is no mapping of fields: {row!r:.200}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if rows:
        yield _batch({name: [row.get(name) for row in rows] for name in names}, before=0)


def cursor_batches(cursor: Any) -> Iterator[pa.RecordBatch]:
    """The rows of a DB-API cursor on which a query has been executed, `BATCH_ROWS` at a time."""
    if cursor.description is None:
        raise DataError("the sql returns no rows: a SELECT is expected")
    names = [column[0] for column in cursor.description]
    _refuse_doubled(names, "the query")
    yield _batch({name: [] for name in names}, before=0)
    before = 0
    while rows := cursor.fetchmany(BATCH_ROWS):
        yield _batch(dict(zip(names, zip(*rows, strict=True), strict=True)), before)
        before += len(rows)


def _refuse_doubled(names: Iterable[str], where: str) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise DataError(f"{where}: columns named twice: {', '.join(map(repr, doubled))}")


def _batch(columns: Columns, before: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: _array(name, values, before) for name, values in columns.items()})


_UNFIT = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError)
_CONVERTED_IN_SILENCE = {pa.date32(): datetime, pa.float64(): bool}
"""What pyarrow lets into a column of another type: it cuts off the time of day, and makes 1.0 of True."""


def _array(name: str, values: Sequence[Any], before: int) -> pa.Array:
    try:
        array = pa.array(values)
    except _UNFIT as error:
        raise _misfit(name, values, before, str(error)) from None
    intruder = _CONVERTED_IN_SILENCE.get(array.type)
    if intruder and any(isinstance(value, intruder) for value in values):
        raise _misfit(name, values, before, f"{array.type} and {intruder.__name__} are mixed")
    return array


def _misfit(name: str, values: Sequence[Any], before: int, why: str) -> DataError:
    """Which row breaks the column: the first whose kind of value differs from the first one's, or that fits nowhere."""
    first = next((value for value in values if value is not None), None)
    for number, value in enumerate(values, before + 1):
        if value is not None and type(value) is not type(first):
            return DataError(
                f"row {number}, column {name!r}: {value!r:.200} is a {type(value).__name__}, but the column began with "
                f"a {type(first).__name__}: cast the column to one type"
            )
        try:
            pa.array([value])
        except _UNFIT as error:
            return DataError(f"row {number}, column {name!r}, value {value!r:.200}: {error}")
    return DataError(f"column {name!r}: {why}")
