"""Rows in staging as Parquet: a load's frozen rows, and the layers of a ledger, read a row group at a time.

A `Mask` says of each row number whether the row is wanted, in one byte: so the large texts never pass through a join,
and row groups without a wanted row are not read.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from optimove_provider.contract.errors import DataError
from optimove_provider.loads.staging import Staging

ROW_GROUP = 5000
Mask = npt.NDArray[np.bool_]
Batches = Iterable[pa.RecordBatch]

ROWS = pa.schema([("_row", pa.int64()), ("_key", pa.string()), ("_record", pa.string())])
"""Rows of a load: number from 1, key as JSON text, canonical JSON text of the whole record. Null: it was refused."""

LEDGER = pa.schema(
    [
        ("key", pa.string()),
        ("record", pa.string()),  # as it was accepted; null where it is not known
        ("fingerprint", pa.binary()),  # null: what the target holds is unknown
        ("generation", pa.timestamp("us", "UTC")),
        ("expires", pa.timestamp("us", "UTC")),  # null: never
        ("state", pa.string()),
    ]
)
"""A layer. state: live; removed (gone from the source and reported, still in the target); tombstone (expired by us)."""

FORMAT = 1
ALGORITHM = "md5, 1"
"""How fingerprints are made, with its version: the MD5 of the record's UTF-8 text.

Nobody is to be fooled here, two texts of one key are to be told apart; and SHA-256 takes DuckDB twice as long.
"""

_ABOUT = {"optimove.format": str(FORMAT), "optimove.fingerprint": ALGORITHM}


def fingerprints(records: pa.Array) -> pa.Array:
    """The fingerprint of each record; null of none."""
    texts = records.cast(pa.binary()).to_pylist()
    return pa.array(
        [None if text is None else hashlib.md5(text, usedforsecurity=False).digest() for text in texts], pa.binary()
    )


def parts(staging: Staging, folder: str) -> list[str]:
    """The Parquet files of a folder, in order."""
    return [f"{folder}/{name}" for name in staging.names(folder) if name.endswith(".parquet")]


def write(staging: Staging, path: str, batches: Batches, schema: pa.Schema) -> int:
    """Write rows to a new file, in row groups of 5000; returns how many they were. On a disk they are there to stay."""
    rows = 0
    with staging.open_new(path) as stream:
        with pq.ParquetWriter(stream, schema.with_metadata(_ABOUT), **_packing(staging, schema)) as writer:
            for table in _regrouped(batches, schema):
                writer.write_table(table, row_group_size=ROW_GROUP)
                rows += table.num_rows
        if "file" in staging.fs.protocol:
            stream.flush()
            os.fsync(stream.fileno())
    return rows


def _packing(staging: Staging, schema: pa.Schema) -> dict[str, Any]:
    """Texts hardly repeat, and a load's rows soon go: on a disk, to pack them takes more time than to make them."""
    brief = schema.equals(ROWS) and "file" in staging.fs.protocol
    repeated = [name for name in ("generation", "expires", "state") if name in schema.names]
    return {"compression": "none" if brief else "zstd", "use_dictionary": repeated or False}


def _regrouped(batches: Batches, schema: pa.Schema) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= ROW_GROUP:
            table = pa.Table.from_batches(waiting, schema)
            full = table.num_rows // ROW_GROUP * ROW_GROUP
            yield table.slice(0, full)
            waiting = table.slice(full).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def read(staging: Staging, path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """A file's rows, some columns of them."""
    with staging.open(path) as stream, pq.ParquetFile(stream) as file:
        check_format(file.metadata, path)
        yield from file.iter_batches(ROW_GROUP, columns=list(columns))


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
    for path in parts(staging, folder):
        yield from read(staging, path, columns)


def pick_rows(staging: Staging, folder: str, wanted: Mask) -> Iterator[pa.RecordBatch]:
    """The rows of a load whose number is wanted, in their order."""
    for path in parts(staging, folder):
        with staging.open(path) as stream, pq.ParquetFile(stream) as file:
            groups = [group for group in range(file.num_row_groups) if _holds(file.metadata.row_group(group), wanted)]
            for batch in file.iter_batches(ROW_GROUP, row_groups=groups, columns=ROWS.names):
                yield batch.filter(pa.array(wanted[batch["_row"].to_numpy()]))


def _holds(group: Any, wanted: Mask) -> bool:
    found = _statistics(group, "_row")
    return group.num_rows > 0 and bool(wanted[found.min : found.max + 1].any())


def _statistics(group: Any, column: str) -> Any:
    columns = (group.column(index) for index in range(group.num_columns))
    return next(found.statistics for found in columns if found.path_in_schema == column)


def size(staging: Staging, folder: str) -> tuple[int, int]:
    """How many rows a load has that can be sent, and the highest row number."""
    rows = last = 0
    for group in (group for path in parts(staging, folder) for group in _groups(staging, path)):
        if group.num_rows:  # of no rows there are no statistics
            rows += group.num_rows - _statistics(group, "_record").null_count
            last = max(last, _statistics(group, "_row").max)
    return rows, last


def sample_records(staging: Staging, folder: str, groups: int = 4) -> Iterator[pa.Array]:
    """The records of some row groups, spread over all of them."""
    found = [(path, number) for path in parts(staging, folder) for number in range(len(_groups(staging, path)))]
    step = max(len(found) / groups, 1)
    for path, number in (found[int(index * step)] for index in range(min(groups, len(found)))):
        with staging.open(path) as stream, pq.ParquetFile(stream) as file:
            for batch in file.iter_batches(ROW_GROUP, row_groups=[number], columns=["_record"]):
                yield batch.column(0)


def _groups(staging: Staging, path: str) -> list[Any]:
    with staging.open(path) as stream:
        found = pq.read_metadata(stream)
    return [found.row_group(number) for number in range(found.num_row_groups)]


def empty_mask(size: int) -> Mask:
    """A mask for row numbers up to `size`, none of them wanted."""
    return np.zeros(size + 1, np.bool_)
