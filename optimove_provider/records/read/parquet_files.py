"""The rows of Parquet files, with the types that the file says, counted against its footer."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as types

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.shown import shown
from optimove_provider.records.arrow.text_arrays import numbers
from optimove_provider.records.arrow.types import Integers
from optimove_provider.records.read.arrow_files import checked_names, damage
from optimove_provider.records.rows import BATCH_ROWS, Reading, Rows, Unread, empty_batch, refuse_doubled, small_batches

BUFFER_BYTES = 1 << 20
"""Read ahead in each column, instead of whole row groups."""
READ_BYTES = 32 << 20
"""What a batch takes, by the footer's word on the size of its row group."""
_LOOK_ROWS = 64
_UNITS = ("us", "ns", "s")
"""How instants in INT96 are read: as a rule, with every digit, and in a unit that holds them all."""
_OFF = (2**64 // 10**9, 2**64 // 10**9 + 1)
"""Seconds in 2^64 nanoseconds."""
_NO_UNIT = "an INT96 instant that neither microseconds nor nanoseconds hold: cast the column to TIMESTAMP"


def parquet_rows(stream: BinaryIO, name: str, groups: range | None = None) -> Reading:
    """The rows of a Parquet file, or of some of its row groups; the first batch is empty. Raises DataError for another
    or a damaged file, and if it gives another number of rows than its footer says."""
    with damage(name, "Parquet"):
        yield from _File(stream, name).rows(groups)


class Footer(NamedTuple):
    """The bytes of each row group of a file, and what tells the footer from that of any other file."""

    group_bytes: Sequence[int]
    digest: str


def parquet_footer(stream: BinaryIO, name: str) -> Footer:
    """What the end of a Parquet file says. Raises DataError for another or a damaged file."""
    with damage(name, "Parquet"), pq.ParquetFile(stream) as file:
        found, written = file.metadata, io.BytesIO()
        found.write_metadata_file(written)
    sizes = [found.row_group(number).total_byte_size for number in range(found.num_row_groups)]
    return Footer(sizes, blake2b(written.getbuffer(), digest_size=16).hexdigest())


class _File:
    """A file, opened as often as instants in INT96 have to be read."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self._name = stream, name

    def _open(self, unit: str) -> pq.ParquetFile:
        return pq.ParquetFile(
            self._stream,
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            coerce_int96_timestamp_unit=unit,
            page_checksum_verification=True,
        )

    def rows(self, groups: range | None) -> Rows:
        with ExitStack() as opened:
            file = opened.enter_context(self._open(_UNITS[0]))
            names = checked_names(file.schema_arrow, self._name)
            refuse_doubled(names, f"source {self._name!r}")
            odd = _int96_columns(file, names)
            files = [file, *(opened.enter_context(self._open(unit)) for unit in _UNITS[1:] if odd)]
            yield empty_batch(file.schema_arrow.remove_metadata())
            before, counted = 0, range(file.num_row_groups) if groups is None else groups
            for group in counted:
                for batch in self._group(files, group, odd):
                    before += batch.num_rows
                    yield from _exact(batch, odd) if odd else small_batches(batch)
            if groups is None:
                self._check_count(file.metadata.num_rows, before)

    def _group(self, files: Sequence[pq.ParquetFile], group: int, odd: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of a row group. Over several at once, Arrow keeps in memory what it has read of all.

        Instants in INT96 come in each unit: those after the first one in columns of their own at the end.
        """
        said, given = files[0].metadata.row_group(group).num_rows, 0
        try:
            at_once = _rows_at_once(files[0], group)
            readers = [_batches(file, group, at_once, odd if number else None) for number, file in enumerate(files)]
            for batches in zip(*readers, strict=True):
                batch = _beside(batches)
                given += batch.num_rows
                yield batch
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._with_column(files[0], group, error) from error
        self._check_count(said, given, f", row group {group + 1}")

    def _check_count(self, said: int, given: int, where: str = "") -> None:
        if said != given:
            raise DataError(
                f"source {self._name!r}{where}: its footer says {said} rows, but {given} came: the file is damaged; "
                "write it again"
            )

    def _with_column(self, file: pq.ParquetFile, group: int, error: Exception) -> Exception:
        """The error, with the first column that cannot be read alone either."""
        if isinstance(error, OSError) and type(error) is not OSError:
            return error
        for column in file.schema_arrow.names:
            try:
                for _ in _batches(file, group, BATCH_ROWS, [column]):
                    pass
            except (pa.ArrowException, OSError) as found:
                return DataError(
                    f"source {self._name!r}, row group {group + 1}, column {column!r} cannot be read: {found}; "
                    "write the file again"
                )
        return error


def _batches(file: pq.ParquetFile, group: int, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    for batch in file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
        yield batch.replace_schema_metadata(None)


def _rows_at_once(file: pq.ParquetFile, number: int) -> int:
    """How many rows of a row group a batch may have: by its footer, and by the texts of its first rows, since one that
    the file has once may stand in many rows. (To ask the footer about a column may end the process, if it is damaged.)
    """
    group = file.metadata.row_group(number)
    size = max(1, int(group.total_byte_size))
    rows = max(1, min(BATCH_ROWS, READ_BYTES * int(group.num_rows) // size))
    names = [field.name for field in file.schema_arrow if not types.is_primitive(field.type)]
    if not names or rows * size <= READ_BYTES:
        return rows
    first = next(file.iter_batches(_LOOK_ROWS, row_groups=[number], columns=names, use_threads=False), None)
    each = first.nbytes // max(1, first.num_rows) if first else 0
    return max(1, min(rows, READ_BYTES // max(1, each)))


def _int96_columns(file: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    """The columns that are, or hold, instants in INT96."""
    leaves = (file.schema.column(index) for index in range(len(file.schema)))
    paths = [leaf.path for leaf in leaves if leaf.physical_type == "INT96"]
    return [name for name in names if any(path == name or path.startswith(f"{name}.") for path in paths)]


def _beside(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    first, *others = batches
    arrays = [array for batch in batches for array in batch.columns]
    names = [*first.schema.names, *(f"{number}" for batch in others for number in range(batch.num_columns))]
    return pa.RecordBatch.from_arrays(arrays, names=names) if others else first


def _exact(batch: pa.RecordBatch, odd: Sequence[str]) -> Rows:
    """Rows of which each instant in INT96 is exact, in microseconds if these will do. What no unit holds is `Unread`.

    Arrow lets an instant that is beyond a unit wrap, and drops the digits that are too many, without an error.
    """
    width = batch.num_columns - 2 * len(odd)
    plain, others = batch.columns[:width], batch.columns[width:]
    places = [batch.schema.names.index(name) for name in odd]
    in_us = _instants(plain[place] for place in places)
    in_ns, seconds = _instants(others[: len(odd)]), _instants(others[len(odd) :])
    if _same_digits(in_us, in_ns, seconds):
        yield from small_batches(batch.select(range(width)))
    elif _same_seconds(in_us, in_ns, seconds):
        for place, array in zip(places, others, strict=False):
            plain[place] = array
        yield from small_batches(pa.RecordBatch.from_arrays(plain, names=batch.schema.names[:width]))
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _exact(batch.slice(0, half), odd)
        yield from _exact(batch.slice(half), odd)
    else:
        text = ", ".join(f"{name}: {shown(array[0])}" for name, array in zip(batch.schema.names, plain, strict=False))
        yield Unread(text, f"column {' or '.join(map(repr, odd))}: {_NO_UNIT}")


def _leaves(array: pa.Array) -> list[Integers]:
    """The instants in a column, as they are stored; of nested ones, those of each of its innermost columns."""
    kind = array.type
    if types.is_timestamp(kind):
        return [numbers(array, np.int64)]
    if types.is_struct(kind):
        return [leaf for index in range(kind.num_fields) for leaf in _leaves(pc.struct_field(array, index))]
    if types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        return _leaves(array)
    return _leaves(pc.list_flatten(array)) if types.is_list(kind) or types.is_large_list(kind) else []


def _instants(arrays: Iterable[pa.Array]) -> list[Integers]:
    return [leaf for array in arrays for leaf in _leaves(array)]


def _same_digits(in_us: Sequence[Integers], in_ns: Sequence[Integers], seconds: Sequence[Integers]) -> bool:
    """Whether microseconds are exact. Nanoseconds that wrapped still have their last digits."""
    each = zip(in_us, in_ns, seconds, strict=True)
    return all(bool(((us // 10**6 == s) & (us * 1000 == ns)).all()) for us, ns, s in each)


def _same_seconds(in_us: Sequence[Integers], in_ns: Sequence[Integers], seconds: Sequence[Integers]) -> bool:
    """Whether nanoseconds are exact.

    Arrow itself wrote instants before 1970 with less than no time of the day, which it reads as 2^64 nanoseconds more.
    """
    for us, ns, s in zip(in_us, in_ns, seconds, strict=True):
        off = s - ns // 10**9
        is_before = np.isin(off, _OFF) & (us * 1000 != ns)
        if not ((off == 0) | is_before).all():
            return False
    return True
