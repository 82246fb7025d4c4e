"""The rows of JSON Lines files: one object a line. Nothing is guessed: a date is text, and every digit is kept.

Numbers are one kind, so 1 and 2.5 may share a column; what no double holds exactly is kept as its digits. Nested values
are kept as documents (`pa.json_()`). A name that begins to appear later is a column from then on.

A file whose lines have the marker of a load is one of ours, whatever it is called: its rows are the `record` objects,
and what could not be read then (`text`) is not read now. All its lines are of one load.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.rejected_lines import Marker, is_rejected_file, marker_of, rejected_row
from optimove_provider.records.rows import BATCH_ROWS, MAX_TEXT_CHARACTERS, Reading, Unread
from optimove_provider.records.to_json.scalars import NOT_UNICODE, NoForm, nested_text

MAX_LINE_BYTES = 16 << 20
"""Ours. A longer line is no row, and only its beginning is kept."""
_CHUNK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
Row = dict[str, Any]


def json_rows(stream: BinaryIO, name: str, columns: Columns | None = None) -> Reading:
    """The rows of an unpacked JSON Lines file, blank lines left out; first an empty batch, unless there are no rows.

    A line that is no JSON object is `Unread`. `columns` is shared by the files of a load. Raises DataError for a value
    of another type than its column held before.
    """
    columns = columns or Columns(one_number=True)
    read = _Lines(name).read
    rows: list[Row] = []
    number = 0
    begun = False
    where = f"source {name!r}, "

    def batch() -> Iterator[pa.RecordBatch]:
        """The rows that wait, after an empty batch if they are the first."""
        nonlocal number, begun
        made = columns.of_rows(rows, number, where)
        if not begun:
            yield made.slice(0, 0)
        begun = True
        number += len(rows)
        rows.clear()
        yield made

    for line in _lines(stream):
        item = read(line)
        if isinstance(item, Unread):
            if rows:
                yield from batch()
            number += 1
            yield item
        else:
            rows.append(item)
            if len(rows) == BATCH_ROWS:
                yield from batch()
    if rows:
        yield from batch()


class _Line(NamedTuple):
    raw: bytes
    whole: bool


def _lines(stream: BinaryIO) -> Iterator[_Line]:
    """The lines that are not blank, without their ends and without a byte order mark."""
    rest, whole = b"", True
    for chunk in _chunks(stream):
        if not whole:  # what is kept of the line is long enough
            _, end, chunk = chunk.partition(b"\n")
            if not end:
                continue
            yield _Line(rest, whole)
            rest, whole = b"", True
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield _Line(line.removesuffix(b"\r"), whole)
        if len(rest) > MAX_LINE_BYTES:
            rest, whole = rest[:MAX_TEXT_CHARACTERS], False
    if rest.strip():
        yield _Line(rest, whole)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    yield stream.read(_CHUNK_BYTES).removeprefix(_BOM)
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


class _Lines:
    """Makes rows of the lines of one file, of which the first one that is an object says whether it is one of ours."""

    def __init__(self, name: str) -> None:
        self._name, self._is_begun = name, False
        self._marker: Marker | None = None
        self._is_ours = False

    def read(self, line: _Line) -> Row | Unread:
        """The row of a line. Raises DataError where rejected rows of one load are mixed with others."""
        parsed = _parsed(line)
        if not isinstance(parsed, dict):
            return _unread(line, parsed)
        self._look(parsed)
        if not self._is_ours:
            return _fit(parsed, line)
        row = rejected_row(parsed)
        if row is None:
            return _unread(line, "neither a record nor a text: this is no line of a file of rejected rows")
        return row if isinstance(row, Unread) else _fit(row, line)

    def _look(self, parsed: Row) -> None:
        marker = marker_of(parsed)
        if not self._is_begun:
            self._is_begun, self._marker = True, marker
            self._is_ours = marker is not None or (is_rejected_file(self._name) and rejected_row(parsed) is not None)
        elif marker != self._marker:
            raise DataError(
                f"source {self._name!r} mixes rejected rows of a load with other rows: each file of rejected rows is "
                "loaded alone, as its rows are as old as its load"
            )


def first_marker(stream: BinaryIO) -> Marker | None:
    """The marker of an unpacked file of rejected rows; None of any other JSON Lines file. Its beginning is read."""
    for line in _lines(stream):
        if isinstance(parsed := _parsed(line), dict):
            return marker_of(parsed)
    return None


def _parsed(line: _Line) -> Row | str:
    """The object of a line, or why there is none."""
    if not line.whole:
        return f"the line is longer than {MAX_LINE_BYTES} bytes"
    try:
        parsed = json.loads(line.raw.decode(), parse_float=Decimal, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start} of the line"
    except NoForm as error:
        return str(error)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return parsed if isinstance(parsed, dict) else "the line is no JSON object"


def _object(members: list[tuple[str, Any]]) -> Row:
    found = dict(members)
    if len(found) < len(members):
        raise NoForm("an object names a member twice")
    return found


def _fit(row: Row, line: _Line) -> Row | Unread:
    """The row, unless no column could hold its text or its documents."""
    if not row:
        return _unread(line, "an object without members")
    try:
        escapes = b"\\u" in line.raw
        for value in row.values():
            if isinstance(value, dict | list) or (escapes and isinstance(value, str)):
                nested_text(value).encode()
        if escapes:
            "".join(row).encode()
    except NoForm as error:
        return _unread(line, str(error))
    except UnicodeEncodeError:
        return _unread(line, NOT_UNICODE)
    return row


def _unread(line: _Line, reason: str) -> Unread:
    return Unread(line.raw.decode(errors="backslashreplace"), reason)
