"""Record batches as the text of a CSV file for DCP, fast: whole columns are written at once.

| value | cell |
| --- | --- |
| null | empty; counted by column |
| boolean | true, false |
| integer, decimal | the number, in plain digits |
| float | the shortest number that reads back the same, in plain digits, never with an exponent; a whole one below |
| | 2^53 has all of its own. NaN and infinities are refused; from 2^53 on, a key too, and what is to be a long |
| text | in quotes, quotes inside doubled |
| date | 2022-05-02 |
| date with time | 2022-05-02T10:10:59Z in UTC, one without a zone is taken as UTC; or as the attribute's format asks: |
| | a number in its `epoch_unit`, or a date. What that cannot say exactly keeps its full form, which a check refuses |
| values of several kinds | each as its own kind |
| bytes, list, struct (also as Python values and as JSON) and other, years outside of 0001 to 9999 | refused |
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

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.shown import shown
from optimove_provider.records.arrow.types import Mask
from optimove_provider.records.rows import Unread
from optimove_provider.records.to_csv.columns import cells_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ROWS_AT_ONCE = 1 << 14

OnUnfit = Callable[[int, str, bytes], None]
"""Takes a row that has no form in CSV: its number in the source, the reason, and what can be shown of it."""


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
                raise DataError(
                    f"after row {self.rows} the columns change from {self._names} to {item.schema.names}: "
                    "give the same columns throughout"
                )
            for start in range(0, item.num_rows, ROWS_AT_ONCE):
                yield self._rows(item.slice(start, ROWS_AT_ONCE))

    def _rows(self, batch: pa.RecordBatch) -> bytes:
        fit = np.ones(batch.num_rows, bool)
        columns, reasons = [], dict[int, tuple[str, str]]()
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self.nulls[name] += column.null_count
            cells, unfit = cells_of(column, self._attributes.get(name))
            columns.append(cells)
            for index, reason in unfit.items():
                reasons.setdefault(index, (name, reason))
        for index in sorted(reasons):
            self._refuse(batch, index, *reasons[index])
            fit[index] = False
        self.rows += batch.num_rows
        return _written(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), fit)

    def _refuse(self, batch: pa.RecordBatch, index: int, column: str, reason: str) -> None:
        cells = ["" if not (cell := values[index]).is_valid else _for_people(cell) for values in batch.columns]
        value = shown(batch.column(column)[index])
        self._leave_out(self.rows + index + 1, f"column {column!r}, value {value}: {reason}", _line(cells))

    def _leave_out(self, row: int, reason: str, text: bytes) -> None:
        if self._on_unfit is None:
            raise DataError(f"row {row}, {reason}")
        self._before.append(row - self.left_out)
        self.left_out += 1
        self._on_unfit(row, reason, text)

    def source_row(self, row: int) -> int:
        """The number in the source of a row of the text, which lacks the rows that were left out."""
        return row + bisect_right(self._before, row)


def _for_people(cell: pa.Scalar) -> str:
    try:
        return str(cell.as_py())
    except Exception:  # Python has no such value
        return shown(cell)


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
