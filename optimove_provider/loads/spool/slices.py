"""Rows in slices of at most 5000, as Parquet files in staging: what one load froze, or plans to send.

Their columns are those of `row_files.ROWS`. A row group is a slice: one request.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.parquet as pq

from optimove_provider.contract.optix.data_connections import MAX_RECORDS
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.rows import one_chunk

SLICES_IN_A_FILE = 100
_COUNTED = ["_row", "_fingerprint"]
"""Columns with statistics: planning finds rows by their numbers, and asks whether fingerprints are made."""
READ_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Slice:
    """Up to 5000 rows: one request. `rows` are their numbers in the source."""

    number: int
    rows: pa.Int64Array = field(repr=False)
    records: pa.StringArray = field(repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def some(self, positions: Sequence[int]) -> pa.StringArray:
        """The records at these positions, which rise."""
        return self.records if len(positions) == len(self) else self.records.take(pa.array(positions, pa.int64()))


@dataclass(frozen=True, slots=True)
class RowFiles:
    """Rows in slices of 5000, of which only the last is shorter: a folder of Parquet files.

    The files are called `<name>-00000.parquet` and so on, of 100 slices each; or there is one file, `<name>.parquet`.
    """

    folder: str
    rows: int = 0
    name: str = "part"
    one_file: bool = False

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return -(-self.rows // MAX_RECORDS)

    def path(self, number: int) -> str:
        """The file that holds a slice."""
        suffix = "" if self.one_file else f"-{number // SLICES_IN_A_FILE:05}"
        return f"{self.folder}/{self.name}{suffix}.parquet"

    @property
    def paths(self) -> list[str]:
        """All files, in order."""
        return list(dict.fromkeys(self.path(number) for number in range(0, self.slices, SLICES_IN_A_FILE)))

    def read(self, staging: Staging, numbers: Iterable[int]) -> Iterator[Slice]:
        """These slices, one after the other; the numbers must rise."""
        path, stack = "", ExitStack()
        with stack:
            for number in numbers:
                if path != self.path(number):
                    stack.close()
                    path = self.path(number)
                    file = stack.enter_context(pq.ParquetFile(stack.enter_context(staging.open(path))))
                group = number if self.one_file else number % SLICES_IN_A_FILE
                table = file.read_row_group(group, ["_row", "_record"])
                rows, records = (table.column(name) for name in ("_row", "_record"))
                yield Slice(number, one_chunk(rows), one_chunk(records))

    def columns(self, staging: Staging, names: Sequence[str]) -> pa.RecordBatchReader:
        """Some columns of all rows, as a stream."""
        return pa.RecordBatchReader.from_batches(
            pa.schema([ROWS.field(name) for name in names]), self._batches(staging, names)
        )

    def _batches(self, staging: Staging, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for path in self.paths:
            with staging.open(path) as stream, pq.ParquetFile(stream) as file:
                yield from file.iter_batches(READ_ROWS, columns=names, use_threads=False)


class RowFilesWriter:
    """Writes rows to such files, a slice at a time. Use it in a `with` statement; `rows` counts them."""

    def __init__(self, staging: Staging, folder: str, name: str = "part") -> None:
        self.staging, self.rows = staging, 0
        self._files = RowFiles(folder, name=name)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows, self._slices = 0, 0
        self._stack: ExitStack | None = None
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "RowFilesWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._waiting_rows:
            self._write(self._waiting_rows)
        self._close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows of the spool's schema."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self.rows += batch.num_rows
        while self._waiting_rows >= MAX_RECORDS:
            self._write(MAX_RECORDS)

    def _write(self, rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, ROWS)
        if self._slices % SLICES_IN_A_FILE == 0:
            self._close()
            self._stack = ExitStack()
            path = self._files.path(self._slices)
            out = self._stack.enter_context(self.staging.open_new(path))
            # To pack takes more time than to make the records, and saves two thirds: of a network that is worth it.
            packed = "none" if self.staging.is_local else "lz4"
            # Keys and records hardly repeat: a dictionary would be made and thrown away.
            self._file = self._stack.enter_context(
                pq.ParquetWriter(out, ROWS, compression=packed, use_dictionary=False, write_statistics=_COUNTED)
            )
        assert self._file is not None  # noqa: S101 - the first slice opens it
        self._file.write_table(table.slice(0, rows), row_group_size=MAX_RECORDS)
        self._slices += 1
        self._waiting = table.slice(rows).to_batches()
        self._waiting_rows -= rows

    def _close(self) -> None:
        if self._stack:
            self._stack.close()
        self._stack = self._file = None

    @property
    def written(self) -> RowFiles:
        """The files that have been written."""
        return replace(self._files, rows=self.rows)
