"""Rows in staging as Parquet: a load's frozen rows, and the layers of a ledger, read a row group at a time.

A `Mask` says of each row number whether the row is wanted, in one byte: so the large texts never pass through a join,
and row groups without a wanted row are not read.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.spool.lost_rows import opened
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Mask

ROW_GROUP = 5000
GROUP_BYTES = 16 << 20
"""A row group has no more rows, and about no more bytes unless it is a single row."""
Batches = Iterable[pa.RecordBatch]

ROWS = pa.schema(
    [
        ("_row", pa.int64()),
        ("_key", pa.string()),
        ("_record", pa.string()),
        ("_fingerprint", pa.binary()),
        ("_stamp", pa.string()),
    ]
)
"""Rows of a load: number from 1, key as JSON text, canonical JSON text of the whole record, its fingerprint, and the
fields that are sent with it without being part of it, a JSON object.

A null record was refused. A null fingerprint was not made yet, for nothing was to be compared. A null stamp: the record
is sent as it is. Files of older versions have no stamps.
"""
REFUSED, DELETED = "refused", "deleted"
"""How the names of files begin that have refused rows only, or keys of which a row says that they are deleted."""

LEDGER = pa.schema(
    [
        ("key", pa.string()),
        ("record", pa.string()),  # as it was accepted; null where it is not known
        ("fingerprint", pa.binary()),  # null: what the target holds is unknown
        ("judged_by", pa.binary()),  # then: the fingerprint of what it may hold, or held before; empty: never known
        ("generation", pa.timestamp("us", "UTC")),
        ("opened", pa.timestamp("us", "UTC")),  # with the generation, the age
        ("expires", pa.timestamp("us", "UTC")),  # null: never
        ("state", pa.string()),
        ("evidence", pa.string()),  # what showed that it was accepted: contract.wire.evidence; null: not known
        (
            "unproven_since",
            pa.timestamp("us", "UTC"),
        ),  # null: somebody counted it; else when it was accepted all the same; where the fingerprint is null: since
        # when, or from when on, nobody knows whether the key is there
        ("stamp", pa.string()),  # what was sent with the record without being part of it, a JSON object; null: nothing
    ]
)
"""A layer. state: live; removed (gone from the source and reported, still in the target); tombstone (not there: expired
by us, or never accepted, but held and rejected by a load)."""

FORMAT = 1
FINGERPRINT_BYTES = 12
"""So that one in 2^96 changes would go unseen; and no more bytes than these does DuckDB keep in a row itself."""

ALGORITHM = f"sha256/{FINGERPRINT_BYTES}, 1"
"""How fingerprints are made, with its version: the first bytes of the SHA-256 of the record's UTF-8 text."""

_ABOUT = {"optimove.format": str(FORMAT), "optimove.fingerprint": ALGORITHM}


def fingerprints(records: pa.Array) -> pa.Array:
    """The fingerprint of each record; null of none."""
    texts = records.cast(pa.binary()).to_pylist()
    digests = [None if text is None else hashlib.sha256(text).digest()[:FINGERPRINT_BYTES] for text in texts]
    return pa.array(digests, pa.binary())


def rows_batch(
    numbers: pa.Array,
    keys: pa.Array,
    records: pa.Array,
    fingerprints: pa.Array | None = None,
    stamps: pa.Array | None = None,
) -> pa.RecordBatch:
    """Rows of a load; without their fingerprints, these can be made when they are needed."""
    fingerprints = pa.nulls(len(keys), pa.binary()) if fingerprints is None else fingerprints
    stamps = pa.nulls(len(keys), pa.string()) if stamps is None else stamps
    return pa.record_batch([numbers, keys, records, fingerprints, stamps], schema=ROWS)


def stamps_of(batch: pa.RecordBatch | pa.Table) -> pa.Array | pa.ChunkedArray:
    """The stamps of a load's rows, as they were read from a file, which may have none."""
    return batch["_stamp"] if "_stamp" in batch.schema.names else pa.nulls(batch.num_rows, pa.string())


def paths(staging: Staging, folder: str) -> list[str]:
    """The Parquet files of a folder, in order."""
    return [f"{folder}/{name}" for name in staging.names(folder) if name.endswith(".parquet")]


def sendable_paths(staging: Staging, folder: str) -> list[str]:
    """The same without those of refused rows, and of deletions: what can have been sent."""
    return [path for path in paths(staging, folder) if not _begins(path, REFUSED, DELETED)]


def deleted_paths(staging: Staging, folder: str) -> list[str]:
    """Those of the deletions among the rows of a load."""
    return [path for path in paths(staging, folder) if _begins(path, DELETED)]


def refused_keys(staging: Staging, folder: str) -> Batches | None:
    """The keys of a load's rows that are not sent, as they cannot travel or are deletions, as batches of `_key`; None
    where there are none."""
    found = [path for path in paths(staging, folder) if _begins(path, REFUSED, DELETED)]
    return (batch for path in found for batch in read(staging, path, ["_key"])) if found else None


def _begins(path: str, *names: str) -> bool:
    return path.rpartition("/")[2].startswith(names)


def write(staging: Staging, path: str, batches: Batches, schema: pa.Schema) -> int:
    """Write rows to a new file, in row groups; returns how many they were."""
    rows = 0
    about = schema.with_metadata(_ABOUT)
    with staging.open_new(path) as stream, pq.ParquetWriter(stream, about, **_packing(staging, schema)) as writer:
        for table in _grouped(batches, schema):
            writer.write_table(table, row_group_size=ROW_GROUP)
            rows += table.num_rows
    return rows


_REPEATED = ("generation", "opened", "expires", "state", "evidence", "unproven_since", "stamp", "_stamp")


def _packing(staging: Staging, schema: pa.Schema) -> dict[str, Any]:
    """Texts hardly repeat, and a load's rows soon go: on a disk, to pack them takes more time than to make them."""
    brief = schema.equals(ROWS) and staging.is_local
    repeated = [name for name in _REPEATED if name in schema.names]
    return {"compression": "none" if brief else "zstd", "use_dictionary": repeated or False}


class RowGroups:
    """Cuts rows that come in batches of any size into tables of one row group each."""

    def __init__(self, schema: pa.Schema, size: int = GROUP_BYTES) -> None:
        self._schema, self._size = schema, size
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.Table]:
        """Take some rows; gives the groups that are full."""
        for part in parts(batch, self._size // 4):
            if self._rows and self._bytes + part.nbytes > self._size:
                yield self._taken()
            while self._rows + part.num_rows >= ROW_GROUP:
                room = ROW_GROUP - self._rows
                self._wait(part.slice(0, room))
                yield self._taken()
                part = part.slice(room)
            self._wait(part)

    def rest(self) -> Iterator[pa.Table]:
        """The last group, if rows are left."""
        if self._rows:  # a row group without rows is one that nobody can read in batches
            yield self._taken()

    def _wait(self, part: pa.RecordBatch) -> None:
        if part.num_rows:
            self._waiting.append(part)
            self._rows, self._bytes = self._rows + part.num_rows, self._bytes + part.nbytes

    def _taken(self) -> pa.Table:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._rows, self._bytes = [], 0, 0
        return table


def parts(batch: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in parts of about that many bytes, or of one row."""
    if batch.num_rows < 2 or batch.nbytes <= size:
        yield batch
    else:
        half = batch.num_rows // 2
        yield from parts(batch.slice(0, half), size)
        yield from parts(batch.slice(half), size)


def _grouped(batches: Batches, schema: pa.Schema) -> Iterator[pa.Table]:
    groups = RowGroups(schema)
    for batch in batches:
        yield from groups.add(batch)
    yield from groups.rest()


def read(staging: Staging, path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """A file's rows, some columns of them."""
    with opened(staging, path) as file:
        check_format(file.metadata, path)
        yield from _batches(file, range(file.num_row_groups), columns)


def _batches(file: pq.ParquetFile, groups: Iterable[int], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Row groups, one at a time: over several at once, Arrow keeps in memory what it has read of all."""
    for group in groups:
        yield from file.iter_batches(ROW_GROUP, row_groups=[group], columns=list(columns), use_threads=False)


def check_format(found: pq.FileMetaData, path: str) -> None:
    """Raise DataError for a file that a newer version of this package wrote."""
    version = int((found.metadata or {}).get(b"optimove.format", b"1"))
    if version > FORMAT:
        raise DataError(
            f"{path} was written by a newer version of this provider (format {version}, this one knows {FORMAT}): "
            "upgrade it here"
        )


def read_rows(staging: Staging, folder: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a load, some columns of them."""
    for path in paths(staging, folder):
        yield from read(staging, path, columns)


def pick_rows(staging: Staging, folder: str, wanted: Mask) -> Iterator[pa.RecordBatch]:
    """The rows of a load whose number is wanted, in their order."""
    for path in sendable_paths(staging, folder):
        with opened(staging, path) as file:
            groups = [group for group in range(file.num_row_groups) if _holds(file.metadata.row_group(group), wanted)]
            for batch in _batches(file, groups, ROWS.names):
                numbers, keys, records, made = (batch[name] for name in ROWS.names[:4])
                rows = rows_batch(numbers, keys, records, made, stamps_of(batch))
                yield rows.filter(pa.array(wanted[rows["_row"].to_numpy()]))


def _holds(group: Any, wanted: Mask) -> bool:
    found = _statistics(group, "_row")
    return group.num_rows > 0 and bool(wanted[found.min : found.max + 1].any())


def _statistics(group: Any, column: str) -> Any:
    columns = (group.column(index) for index in range(group.num_columns))
    return next(found.statistics for found in columns if found.path_in_schema == column)


def size(staging: Staging, folder: str) -> tuple[int, int]:
    """How many rows a load has that can be sent, and the highest row number."""
    rows, last = sum(group.num_rows for group in _groups(staging, sendable_paths(staging, folder))), 0
    for group in _groups(staging, paths(staging, folder)):
        if group.num_rows:  # of no rows there are no statistics
            last = max(last, _statistics(group, "_row").max)
    return rows, last


def deletions(staging: Staging, folder: str) -> int:
    """How many deletions are among the rows of a load."""
    return sum(group.num_rows for group in _groups(staging, deleted_paths(staging, folder)))


def _groups(staging: Staging, paths: Sequence[str]) -> Iterator[Any]:
    for path in paths:
        with opened(staging, path) as file:
            found = file.metadata
        yield from (found.row_group(number) for number in range(found.num_row_groups))


def columns(staging: Staging, path: str) -> list[str]:
    """The columns that a file has."""
    with opened(staging, path) as file:
        return list(file.schema_arrow.names)


def describe(staging: Staging, path: str) -> tuple[int, bool]:
    """How many rows of a load a file has, and whether their fingerprints are made."""
    rows, has_fingerprints = 0, True
    for group in _groups(staging, [path]):
        rows += group.num_rows
        has_fingerprints = has_fingerprints and _statistics(group, "_fingerprint").null_count == 0
    return rows, has_fingerprints


def empty_mask(size: int) -> Mask:
    """A mask for row numbers up to `size`, none of them wanted."""
    return np.zeros(size + 1, np.bool_)
