"""Rows in slices of at most 5000, as Parquet files in staging: what one load froze, or plans to send.

Their columns are those of `row_files.ROWS`. A row group is a slice: one request, of 5000 rows unless these are long.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from optimove_provider.contract.optix.data_connections import MAX_RECORDS
from optimove_provider.disk.room import keeping
from optimove_provider.loads.spool.lost_rows import opened
from optimove_provider.loads.spool.row_digests import DigestsOfFiles
from optimove_provider.loads.spool.row_files import ROWS, RowGroups, stamps_of
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.rows import one_chunk
from optimove_provider.records.to_json.stamps import stamped_records

SLICES_IN_A_FILE = 100
_COUNTED = ["_row", "_fingerprint"]
"""Columns with statistics: planning finds rows by their numbers, and asks whether fingerprints are made."""
READ_ROWS = 1 << 16

Stamped = Callable[[pa.StringArray, pa.StringArray], pa.StringArray]
"""Makes what is sent of records and of their stamps."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Up to 5000 rows: one request. `rows` are their numbers in the source; `stamps`, where there are any, what is sent
    with each record."""

    number: int
    rows: pa.Int64Array = field(repr=False)
    records: pa.StringArray = field(repr=False)
    stamps: pa.StringArray | None = field(repr=False, default=None)

    def __len__(self) -> int:
        return len(self.records)

    def some(self, positions: Sequence[int], stamped: Stamped = stamped_records) -> pa.StringArray:
        """The records at these positions, which rise, as they are sent: each with its stamp."""
        records = self._taken(self.records, positions)
        return records if self.stamps is None else stamped(records, self._taken(self.stamps, positions))

    def _taken(self, column: pa.StringArray, positions: Sequence[int]) -> pa.StringArray:
        return column if len(positions) == len(self) else column.take(pa.array(positions, pa.int64()))


@dataclass(frozen=True, slots=True)
class RowFiles:
    """Rows in slices: a folder of Parquet files.

    The files are called `<name>-00000.parquet` and so on, of 100 slices each; or there is one file, `<name>.parquet`.
    `file_ends` has how many slices there are up to the end of each file, where these are not 100 each. `lengths` has
    the rows of each slice; it is empty where all but the last have 5000. `first` is the number of the first slice,
    where other rows of the same batch have those before it. `only`: the slices from one number to before another
    count, and no others.
    """

    folder: str
    rows: int = 0
    name: str = "part"
    one_file: bool = False
    lengths: Sequence[int] = ()
    first: int = 0
    only: tuple[int, int] | None = None
    file_ends: Sequence[int] = ()

    def __post_init__(self) -> None:
        for name in ("lengths", "file_ends"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a journal has lists

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return len(self.lengths) or -(-self.rows // MAX_RECORDS)

    @property
    def numbers(self) -> range:
        """The numbers of the slices that count."""
        return range(*(self.only or (self.first, self.first + self.slices)))

    @property
    def last_rows(self) -> int:
        """How many rows the last slice has."""
        return self.lengths[-1] if self.lengths else self.rows - (self.slices - 1) * MAX_RECORDS

    def some(self, numbers: range) -> "RowFiles":
        """The same files, of which only some neighbouring slices count."""
        return replace(self, only=(numbers.start, numbers.stop))

    @property
    def rows_of_some(self) -> int:
        """How many rows the slices have that count."""
        start, stop = self.numbers.start - self.first, self.numbers.stop - self.first
        if self.lengths:
            return sum(self.lengths[start:stop])
        return min(stop * MAX_RECORDS, self.rows) - min(start * MAX_RECORDS, self.rows)

    @property
    def all_lengths(self) -> Sequence[int]:
        """How many rows each slice has."""
        usual = [MAX_RECORDS] * (self.slices - 1)
        return self.lengths or ([*usual, self.last_rows] if self.rows else [])

    def path(self, number: int) -> str:
        """The file that holds a slice."""
        return self._file(self._place(number)[0])

    def _file(self, file: int) -> str:
        suffix = "" if self.one_file else f"-{file:05}"
        return f"{self.folder}/{self.name}{suffix}.parquet"

    def _place(self, number: int) -> tuple[int, int]:
        """In which file a slice is, and in which of its row groups."""
        place = number - self.first
        if self.one_file:
            return 0, place
        if not self.file_ends:
            return divmod(place, SLICES_IN_A_FILE)
        file = bisect_right(self.file_ends, place)
        return file, place - (self.file_ends[file - 1] if file else 0)

    @property
    def paths(self) -> list[str]:
        """All files, in order."""
        if not self.numbers:
            return []
        first, last = (self._place(number)[0] for number in (self.numbers[0], self.numbers[-1]))
        return [self._file(file) for file in range(first, last + 1)]

    def read(self, staging: Staging, numbers: Iterable[int]) -> Iterator[Slice]:
        """These slices, one after the other; the numbers must rise."""
        path, stack = "", ExitStack()
        with stack:
            for number in numbers:
                if path != self.path(number):
                    stack.close()
                    path = self.path(number)
                    file = stack.enter_context(opened(staging, path))
                table = file.read_row_group(self._place(number)[1], ["_row", "_record", "_stamp"])
                rows, records = (table.column(name) for name in ("_row", "_record"))
                stamps = pa.chunked_array([stamps_of(table)]) if "_stamp" not in table.column_names else table["_stamp"]
                yield Slice(number, one_chunk(rows), one_chunk(records), one_chunk(stamps))

    def columns(self, staging: Staging, names: Sequence[str]) -> pa.RecordBatchReader:
        """Some columns of all rows, as a stream."""
        return pa.RecordBatchReader.from_batches(
            pa.schema([ROWS.field(name) for name in names]), self._batches(staging, names)
        )

    def _batches(self, staging: Staging, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for path in self.paths:
            with opened(staging, path) as file:
                yield from file.iter_batches(READ_ROWS, columns=names, use_threads=False)


def one_file(staging: Staging, folder: str, rows: int, first: int = 0) -> RowFiles:
    """The rows that lie in the only file of a folder, `rows.parquet`; `first` is the number of their first slice."""
    files = RowFiles(folder, rows, "rows", one_file=True, first=first)
    if not rows:
        return files
    with opened(staging, files.path(0)) as file:
        found = file.metadata
    return with_lengths(files, [found.row_group(number).num_rows for number in range(found.num_row_groups)])


def with_lengths(files: RowFiles, lengths: Sequence[int]) -> RowFiles:
    """The same, with the rows of each slice; they need not be remembered where they are the usual ones."""
    usual = all(length == MAX_RECORDS for length in lengths[:-1])
    return replace(files, rows=sum(lengths), lengths=() if usual else tuple(lengths))


def joined(every: Sequence[RowFiles], folder: str) -> tuple[RowFiles, list[tuple[str, str]]]:
    """The rows of several, one after the other, as files of one folder; and what each file is called there: its path
    and the new one."""
    lengths = list(chain.from_iterable(files.all_lengths for files in every))
    ends, paths = list[int](), list[str]()
    for files in every:
        before = ends[-1] if ends else 0
        own = [*range(SLICES_IN_A_FILE, files.slices, SLICES_IN_A_FILE), files.slices] if files.slices else []
        ends += [before + end for end in own]
        paths += files.paths
    found = with_lengths(RowFiles(folder, name=every[0].name, file_ends=ends), lengths)
    return found, [(path, found._file(number)) for number, path in enumerate(paths)]


class RowFilesWriter:
    """Writes rows to such files, a slice at a time. Use it in a `with` statement; `rows` counts them.

    With the seed of their ledger, digests of many rows are kept beside them: the load may have more `in_all`, which
    others write.
    """

    def __init__(self, staging: Staging, folder: str, name: str = "part", seed: str = "", in_all: int = 0) -> None:
        self.staging, self.rows = staging, 0
        self._digests = DigestsOfFiles(staging, seed, in_all)
        self._files = RowFiles(folder, name=name)
        self._groups, self._lengths = RowGroups(ROWS), list[int]()
        self._stack: ExitStack | None = None
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "RowFilesWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if error is not None:
            with keeping(error, "to close the frozen rows"):
                self._close()
            return
        self._write(self._groups.rest())
        self._close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows of the spool's schema."""
        self.rows += batch.num_rows
        self._write(self._groups.add(batch))

    def _write(self, slices: Iterable[pa.Table]) -> None:
        for table in slices:
            if len(self._lengths) % SLICES_IN_A_FILE == 0:
                self._close()
                self._open()
            assert self._file is not None  # noqa: S101 - the first slice opens it
            self._file.write_table(table, row_group_size=MAX_RECORDS)
            self._digests.add(table)
            self._lengths.append(table.num_rows)

    def _open(self) -> None:
        self._stack = ExitStack()
        self._digests.begin()
        path = self._files.path(len(self._lengths))
        out = self._stack.enter_context(self.staging.open_new(path))
        # To pack takes more time than to make the records, and saves two thirds: of a network that is worth it.
        packed = "none" if self.staging.is_local else "lz4"
        # Keys and records hardly repeat: a dictionary would be made and thrown away. All stamps are one.
        self._file = self._stack.enter_context(
            pq.ParquetWriter(out, ROWS, compression=packed, use_dictionary=["_stamp"], write_statistics=_COUNTED)
        )

    def _close(self) -> None:
        if self._stack:
            self._stack.close()
            self._digests.end(self._files.path(len(self._lengths) - 1))
        self._stack = self._file = None

    @property
    def written(self) -> RowFiles:
        """The files that have been written."""
        return with_lengths(self._files, self._lengths)
