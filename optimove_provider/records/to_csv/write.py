"""Record batches as the text of a CSV file for DCP, fast: whole columns are written at once.

| value | cell |
| --- | --- |
| null | empty; counted by column |
| boolean | true, false |
| integer, decimal | the number |
| float | the shortest number that reads back the same; a whole one below 2^53 has all its digits. NaN and infinities |
| | are refused |
| text | in quotes, quotes inside doubled |
| date | 2022-05-02 |
| date with time | 2022-05-02T10:10:59Z in UTC, one without a zone is taken as UTC; or as the attribute's format asks: |
| | a number in its `epoch_unit`, or a date. What that cannot say exactly keeps its full form, which a check refuses |
| bytes, list, struct and other | refused |
"""

import csv
import io
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.types as kinds

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.floats import all_digits, float_values
from optimove_provider.records.arrow.types import Mask
from optimove_provider.records.rows import Unread
from optimove_provider.records.to_csv.instants import epochs, midnights, zulu

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ROWS_AT_ONCE = 1 << 14

OnUnfit = Callable[[int, str, bytes], None]
"""Takes a row that has no form in CSV: its number in the source, the reason, and what can be shown of it."""

_AS_THEY_ARE = (kinds.is_boolean, kinds.is_integer, kinds.is_string, kinds.is_large_string, kinds.is_date32)


class CsvText:
    """Writes rows as CSV. Afterwards `nulls` counts the nulls of each column, and `left_out` the rows that are missing.

    Without `on_unfit`, a row that has no form in CSV raises DataError, which names row, column and reason.
    """

    def __init__(self, attributes: Sequence[Attribute] = (), on_unfit: OnUnfit | None = None) -> None:
        self._attributes, self._on_unfit = {one.name: one for one in attributes}, on_unfit
        self._names: list[str] | None = None
        self.nulls: Counter[str] = Counter()
        self.left_out = 0
        self._before: list[int] = []  # how many rows of the text come before each row that was left out, and 1
        self.rows = 0

    def chunks(self, items: Iterable[pa.RecordBatch | Unread]) -> Generator[bytes, None, None]:
        """The file's text in pieces: the header, then some whole rows each."""
        for item in items:
            if isinstance(item, Unread):
                self.rows += 1
                self._leave_out(self.rows, item.reason, item.text.encode(errors="surrogateescape"))
                continue
            if self._names is None:
                self._names = item.schema.names
                yield _line(self._names)
            elif item.schema.names != self._names:
                raise DataError(f"after row {self.rows} the columns change from {self._names} to {item.schema.names}")
            for start in range(0, item.num_rows, ROWS_AT_ONCE):
                yield self._rows(item.slice(start, ROWS_AT_ONCE))

    def _rows(self, batch: pa.RecordBatch) -> bytes:
        fit = np.ones(batch.num_rows, bool)
        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self.nulls[name] += column.null_count
            cells, unfit, reason = self._column(name, column)
            for index in np.flatnonzero(unfit & fit).tolist():
                self._refuse(batch.slice(index, 1), self.rows + index + 1, name, reason)
            fit &= ~unfit
            columns.append(cells)
        self.rows += batch.num_rows
        return _written(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), fit)

    def _column(self, name: str, column: pa.Array) -> tuple[pa.Array, Mask, str]:
        """The column as it can be written, which of its values are unfit, and why."""
        if isinstance(column.type, pa.BaseExtensionType):
            column = column.storage
        if kinds.is_dictionary(column.type):
            column = column.dictionary_decode()
        if kinds.is_timestamp(column.type):
            column = _instants(column, self._attributes.get(name))
        elif cast := _cast(column.type):
            column = column.cast(cast)
        if kinds.is_floating(column.type):
            values = float_values(column)
            unfit = ~np.isfinite(values)
            cells = all_digits(column, np.where(unfit, 0, values))
            return cells, unfit, "NaN and infinities are no numbers to a CSV reader"
        if kinds.is_decimal(column.type) or kinds.is_null(column.type) or any(is_(column.type) for is_ in _AS_THEY_ARE):
            return column, np.zeros(len(column), bool), ""
        unfit = column.is_valid().to_numpy(zero_copy_only=False)
        return pa.nulls(len(column)), unfit, f"a {column.type} has no form in CSV: cast it to text in the query"

    def _refuse(self, row: pa.RecordBatch, number: int, column: str, reason: str) -> None:
        cells = ["" if value is None else str(value) for value in row.to_pylist()[0].values()]
        value = row.column(column)[0].as_py()
        self._leave_out(number, f"column {column!r}, value {value!r:.200}: {reason}", _line(cells))

    def _leave_out(self, row: int, reason: str, text: bytes) -> None:
        if self._on_unfit is None:
            raise DataError(f"row {row}, {reason}")
        self._before.append(row - self.left_out)
        self.left_out += 1
        self._on_unfit(row, reason, text)

    def source_row(self, row: int) -> int:
        """The number in the source of a row of the text, which lacks the rows that were left out."""
        return row + bisect_right(self._before, row)


def _instants(column: pa.Array, attribute: Attribute | None) -> pa.Array:
    if attribute and attribute.format == "epoch":
        return epochs(column, milliseconds=attribute.epoch_unit == "milliseconds")
    return midnights(column) if attribute and attribute.format == "yyyy-mm-dd" else zulu(column)


def _cast(kind: pa.DataType) -> pa.DataType | None:
    """The type of which Arrow writes what we want."""
    if kinds.is_string_view(kind):
        return pa.large_string()
    if kinds.is_date64(kind):
        return pa.date32()
    if kinds.is_float16(kind):
        return pa.float32()
    # Arrow writes 1.0E+3 where the scale is negative.
    return pa.decimal256(76, 0) if kinds.is_decimal(kind) and kind.scale < 0 else None


def _written(batch: pa.RecordBatch, fit: Mask) -> bytes:
    if not fit.all():
        batch = batch.filter(pa.array(fit))
    if batch.num_columns == 1 and batch.column(0).null_count:
        # A null alone in its row would be a blank line, which is no row.
        cells = [batch.column(0).cast(pa.string()).fill_null("")]
        batch = pa.RecordBatch.from_arrays(cells, names=batch.schema.names)
    sink = pa.BufferOutputStream()
    pacsv.write_csv(batch, sink, pacsv.WriteOptions(include_header=False, batch_size=ROWS_AT_ONCE))
    return bytes(sink.getvalue().to_pybytes())


def _line(cells: Sequence[str]) -> bytes:
    written = io.StringIO()
    # The csv module of older Pythons leaves a bare carriage return unquoted, and readers take it for a line end.
    bare = any("\r" in cell for cell in cells)
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL).writerow(cells)
    return written.getvalue().encode(errors="surrogateescape")


def with_commas(text: bytes) -> bytes:
    """Whole rows of tab-separated text, valid ones, as rows with commas."""
    rows = csv.reader(io.StringIO(text.decode(), newline=""), delimiter="\t")
    return b"".join(map(_line, rows))


class Chunks(io.RawIOBase):
    """Pieces of bytes as a stream. Reading gives at most one piece at a time."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the next piece; no bytes at the end."""
        while not self._left and (chunk := next(self._chunks, None)) is not None:
            self._left = memoryview(chunk)
        size = len(self._left) if size < 0 else size
        taken, self._left = self._left[:size], self._left[size:]
        return bytes(taken)

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        taken = self.read(len(view))
        view[: len(taken)] = taken
        return len(taken)
