"""The rows of JSON Lines files: one object a line. Nothing is guessed: a date is text, and every digit is kept.

Numbers are one kind, so 1 and 2.5 may share a column; what no double holds exactly is kept as its digits. Nested values
are kept as documents (`pa.json_()`). A value that has no form, such as NaN in a document, comes with its row and is for
the encoder to reject. A name that begins to appear later is a column from then on.

A file whose lines have the marker of a load is one of ours, whatever it is called: its rows are the `record` objects,
and what could not be read then (`text`) is not read now. All its lines are of one load.
"""

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.text_arrays import NOT_UNICODE
from optimove_provider.records.file_kind import HEAD_BYTES, unmarked_utf16
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.read.values import is_unicode, shown_value
from optimove_provider.records.rejected_lines import Marker, is_rejected_file, marker_of, rejected_row
from optimove_provider.records.rows import BATCH_ROWS, MAX_TEXT_CHARACTERS, Reading, Unread
from optimove_provider.records.to_json.scalars import TOO_DEEP, NoForm, exact_number, too_many_digits, unique_members

MAX_LINE_BYTES = 16 << 20
"""Ours. A longer line is no row, and only its beginning is kept."""
WINDOW_BYTES = 16 << 20
"""Text of which one batch is made, or so: at least a line."""
WINDOW_CELLS = 4 << 20
"""Rows of one batch by columns that they have: where each row has members of other names, a batch would be mostly
empty."""
_CHUNK_BYTES = 1 << 20
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
Row = dict[str, Any]


def json_rows(stream: BinaryIO, name: str, columns: Columns | None = None) -> Reading:
    """The rows of an unpacked JSON Lines file, blank lines left out; first an empty batch, unless there are no rows.

    A line that is no JSON object is `Unread`. `columns` is shared by the files of a load. Raises DataError for a file
    that has no lines: one in UTF-16, or with carriage returns for line ends.
    """
    columns = columns or Columns(one_number=True)
    begun = False
    for items in _windows(stream, _Lines(name).read):
        for item in columns.of_items(items):
            if not begun and isinstance(item, pa.RecordBatch):
                begun = True
                yield item.slice(0, 0)
            yield item


def _windows(stream: BinaryIO, read: Callable[["_Line"], Row | Unread]) -> Iterator[list[Row | Unread]]:
    """The rows, and the lines that are none, as many at a time as a batch may have."""
    items: list[Row | Unread] = []
    names: set[str] = set()
    size = 0
    for line in _lines(stream):
        items.append(item := read(line))
        size += len(line.raw)
        if not isinstance(item, Unread) and not names.issuperset(item):
            names.update(item)
        if len(items) == BATCH_ROWS or size >= WINDOW_BYTES or len(items) * len(names) >= WINDOW_CELLS:
            yield items
            items, names, size = [], set(), 0
    if items:
        yield items


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
    yield stream.read(_CHUNK_BYTES).removeprefix(codecs.BOM_UTF8)
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
            self._refuse_other_lines(line)
            return _unread(line, parsed)
        self._look(parsed)
        if not self._is_ours:
            return _named(parsed, line)
        row = rejected_row(parsed)
        if row is None:
            return _unread(line, "neither a record nor a text: this is no line of a file of rejected rows")
        return row if isinstance(row, Unread) else _named(row, line)

    def _refuse_other_lines(self, line: _Line) -> None:
        """Raises DataError if no line was an object so far, as the file's lines end otherwise."""
        if self._is_begun:
            return
        if line.raw.startswith(_WIDE) or unmarked_utf16(line.raw[:HEAD_BYTES]):
            raise DataError(f"source {self._name!r} is not UTF-8 but UTF-16 or UTF-32: save it as UTF-8")
        first, end, _ = line.raw.partition(b"\r")
        if end and isinstance(_parsed(_Line(first, True)), dict):
            raise DataError(
                f"source {self._name!r} has objects that end with a carriage return: end each line with a line feed"
            )

    def _look(self, parsed: Row) -> None:
        marker = marker_of(parsed)
        if not self._is_begun:
            self._is_begun, self._marker = True, marker
            self._is_ours = marker is not None or (is_rejected_file(self._name) and rejected_row(parsed) is not None)
        elif marker != self._marker:
            raise DataError(
                f"source {self._name!r} mixes rejected rows of a load with other rows: load each file of rejected rows "
                "alone, as its rows are as old as its load"
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
        return f"the line is longer than {MAX_LINE_BYTES} bytes: shorten it, or import it as CSV"
    try:
        parsed = json.loads(line.raw.decode(), parse_float=exact_number, object_pairs_hook=unique_members)
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start} of the line"
    except NoForm as error:
        return str(error)
    except json.JSONDecodeError as error:
        return f"not JSON: {error}"
    except ValueError:
        return too_many_digits()
    except RecursionError:
        return TOO_DEEP
    return parsed if isinstance(parsed, dict) else "the line is no JSON object"


def _named(row: Row, line: _Line) -> Row | Unread:
    """The row, unless it has no columns, or a name that can be none."""
    if not row:
        return _unread(line, "an object without members")
    if b"\\u" in line.raw:
        for name in row:
            if not is_unicode(name):
                return _unread(line, f"column {shown_value(name)}: {NOT_UNICODE}")
    return row


def _unread(line: _Line, reason: str) -> Unread:
    return Unread(line.raw.decode(errors="backslashreplace"), reason)
