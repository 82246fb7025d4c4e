"""The rows of Parquet and Arrow files, with the types that the file says."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.rows import BATCH_ROWS, Reading, refuse_doubled, small_batches

BUFFER_BYTES = 1 << 20
"""Read ahead in each column, instead of whole row groups."""

_ARROW_FILE = b"ARROW1"


def parquet_rows(stream: BinaryIO, name: str) -> Reading:
    """The rows of a Parquet file; the first batch is empty. Raises DataError for another or a damaged file."""
    try:
        with pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            yield from _batches(file.schema_arrow, _by_group(file), name)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damage(name, "Parquet", error) from error


def _by_group(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """The rows, one row group after the other: over several at once, Arrow keeps in memory what it has read of all."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False)


def arrow_rows(stream: BinaryIO, name: str) -> Reading:
    """The rows of an Arrow file or stream; the first batch is empty. Raises DataError for another or a damaged file."""
    try:
        begin = stream.read(len(_ARROW_FILE))
        stream.seek(0)
        with pa.ipc.open_file(stream) if begin == _ARROW_FILE else pa.ipc.open_stream(stream) as reader:
            yield from _batches(reader.schema, _read(reader), name)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damage(name, "Arrow", error) from error


def _read(reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.RecordBatchFileReader):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


def _batches(schema: pa.Schema, batches: Iterator[pa.RecordBatch], name: str) -> Reading:
    refuse_doubled(schema.names, f"source {name!r}")
    schema = schema.remove_metadata()
    yield pa.RecordBatch.from_pylist([], schema)
    for batch in batches:
        yield from small_batches(batch.replace_schema_metadata(None))


def _damage(name: str, kind: str, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # of the storage: a disk, a network
    return DataError(f"source {name!r} is no {kind} file, or it is damaged: {error}; copy it again")
