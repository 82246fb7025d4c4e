"""Rows of CSV text, frozen as a load's rows, and written as CSV again; of refused ones, their keys.

A record is a JSON object of the row's cells as text, its members in the order of their names; an empty cell is null.
So a row is the same for the ledger however its cells are quoted and in whatever order its columns come; another text,
such as 1.0 for 1, is a change. Which columns there were, in their order and spelling, is kept beside the rows.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.json as pajson

from optimove_provider.contract.cells.datatypes import KEY_COLUMN, is_key_column
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import fingerprints, rows_batch
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.filled import filled
from optimove_provider.records.arrow.types import Integers
from optimove_provider.records.csv_syntax.blocks import regular_part
from optimove_provider.records.csv_syntax.reader import one_record
from optimove_provider.records.observe.observer import CellBuffer
from optimove_provider.records.to_csv.write import CsvText
from optimove_provider.records.to_json.columns import key_texts
from optimove_provider.records.to_json.encode import Encoder

ENOUGH_BYTES = 1 << 20
_AS_TEXT = pc.CastOptions(pa.string(), allow_invalid_utf8=True)  # such keys are unfit, and their rows refused
_key_texts = key_texts(pa.string(), "string")


class Freezer:
    """A sink that freezes valid rows of CSV text; `columns` are the names in the header. Finish it.

    Rows are numbered from 1 as they come: refused ones do not.
    """

    sent = 0

    def __init__(self, writer: RowFilesWriter) -> None:
        self.columns: list[str] = []
        self._writer, self._encoder = writer, Encoder(_schema([KEY_COLUMN]), KEY_COLUMN)
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._values = Counter[str]()
        self._discarding = False

    @property
    def filled(self) -> dict[str, float]:
        """The share of the rows that have a value in a column, by column."""
        return {name: count / self._writer.rows for name, count in sorted(self._values.items())}

    def write(self, text: bytes, /) -> int:
        """Take the header, then some whole rows at a time."""
        if self._discarding:
            return len(text)
        if not self.columns:
            self.columns = next(csv.reader(io.StringIO(text.decode(), newline="")))
            self._encoder = Encoder(_schema(self._members), KEY_COLUMN, nulls="null")
        else:
            self._waiting.append(text)
            self._bytes += len(text)
            if self._bytes >= ENOUGH_BYTES:
                self.finish()
        return len(text)

    def discard(self) -> None:
        """Freeze nothing more: the load will fail."""
        self._discarding = True

    def finish(self) -> None:
        """Freeze what waits."""
        text = b"".join(self._waiting)
        self._waiting, self._bytes = [], 0
        if not text or self._discarding:
            return
        is_regular = regular_part(text, ",", final=True).size == len(text)
        batch = _parsed(text, self._members) if is_regular else _read_exactly(text, self._members)
        encoded = self._encoder.encode(batch)
        if encoded.unfit:
            raise AssertionError(f"a row passed the check and has no form in JSON: {encoded.unfit[0]}")
        numbers = pa.array(encoded.positions + (self._writer.rows + 1), pa.int64())
        self._writer.add(rows_batch(numbers, encoded.keys, encoded.records, fingerprints(encoded.records)))
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self._values[name] += int(np.count_nonzero(filled(column)))

    @property
    def _members(self) -> list[str]:
        return members(self.columns)


def key_rows(numbers: Integers, cells: pa.BinaryArray) -> pa.RecordBatch:
    """Rows of a load without records, for the cells of the key column; those that can be no keys are left out."""
    found = _key_texts(cells.cast(options=_AS_TEXT))
    fit = np.ones(len(cells), bool)
    fit[list(found.unfit)] = False
    batch = rows_batch(pa.array(numbers, pa.int64()), found.whole(), pa.nulls(len(cells), pa.string()))
    return batch.filter(pa.array(fit))


class RefusedKeys:
    """Takes refused rows as they stand in the text, and writes down the keys of those whose cells can be told apart.

    `columns` tells the names in the header, once it is known. Finish it.
    """

    def __init__(self, columns: Callable[[], Sequence[str]], writer: RowFilesWriter, delimiter: str) -> None:
        self._columns, self._writer, self._delimiter = columns, writer, delimiter
        self._untold: list[tuple[int, bytes]] = []  # rows of the first batch may come before the header does
        self._found: list[tuple[int, bytes]] = []
        self._bytes = 0

    def take(self, row: int, text: bytes) -> None:
        """Take a row: its number, and what it is."""
        self._untold.append((row, text))
        if self._columns():
            self._find()

    def finish(self) -> None:
        """Write the last keys."""
        self._find()
        self._write()

    def _find(self) -> None:
        for row, text in self._untold:
            if (cell := self._key_cell(text)) is not None:
                self._found.append((row, cell))
                self._bytes += len(cell)
        self._untold.clear()
        if len(self._found) >= CellBuffer.ENOUGH or self._bytes >= CellBuffer.ENOUGH_BYTES:
            self._write()

    def _write(self) -> None:
        if self._found:
            rows, cells = zip(*self._found, strict=True)
            self._writer.add(key_rows(np.array(rows, np.int64), pa.array(cells, pa.binary())))
        self._found, self._bytes = [], 0

    def _key_cell(self, text: bytes) -> bytes | None:
        names = self._columns()
        record = one_record(text, self._delimiter, 1, 0) if text.strip() else None
        if record is None or record.broken or record.raw != text or len(record.cells) != len(names):
            return None
        return next(
            cell.encode(errors="surrogateescape")
            for name, cell in zip(names, record.cells, strict=True)
            if is_key_column(name)
        )


def members(columns: Sequence[str]) -> list[str]:
    """How columns are called in a record: the key is customerId, in whatever case the header has it."""
    return [KEY_COLUMN if is_key_column(name) else name for name in columns]


def csv_text(staging: Staging, folder: str, columns: Sequence[str]) -> Iterator[bytes]:
    """Frozen rows as the text of a CSV file with these columns: the header, then some whole rows each."""
    return CsvText().chunks(_read(staging, folder, columns))


def _read(staging: Staging, folder: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    parsing = pajson.ParseOptions(explicit_schema=_schema(members(columns)), unexpected_field_behavior="error")
    found = (row_files.read(staging, path, ["_record"]) for path in row_files.sendable_paths(staging, folder))
    for batch in chain.from_iterable(found):
        text = pc.binary_join(_as_list(batch["_record"]), "\n")[0].as_buffer()
        reading = pajson.ReadOptions(use_threads=False, block_size=text.size + 1)
        table = pajson.read_json(pa.BufferReader(text), reading, parsing)
        yield from table.select(members(columns)).rename_columns(list(columns)).to_batches()


def _as_list(texts: pa.StringArray) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)


def _schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _parsed(text: bytes, names: Sequence[str]) -> pa.RecordBatch:
    table = pacsv.read_csv(
        pa.BufferReader(text),
        pacsv.ReadOptions(column_names=list(names), use_threads=False, block_size=len(text) + 1),
        pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )
    return table.combine_chunks().to_batches()[0]


def _read_exactly(text: bytes, names: Sequence[str]) -> pa.RecordBatch:
    rows = csv.reader(io.StringIO(text.decode(), newline=""))
    columns = zip(*([cell or None for cell in row] for row in rows), strict=True)
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=_schema(names))
