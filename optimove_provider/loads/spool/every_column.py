"""The rows of a source once more, when all of its columns are known: what a record with nulls is must not depend on
which rows came before it."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.records.rows import Rows, Unread

_BATCH, _UNREAD = b"b", b"u"
_LENGTH_BYTES = 8


def columns_for(nulls: str, open_rows: OpenRows) -> OpenRows:
    """The source as `nulls` has to see it: where a null counts, every row has every column."""
    return open_rows if nulls == "omit" else with_every_column(open_rows)


def with_every_column(open_rows: OpenRows) -> OpenRows:
    """The same source, in which every batch has every column that any has, null where it had none.

    All rows are read first, and wait in a temporary file: memory stays that of a batch.
    """

    @contextmanager
    def opened() -> Iterator[Rows]:
        with open_rows() as rows, tempfile.TemporaryFile() as file:
            waiting = cast(BinaryIO, file)
            names = _put_aside(rows, waiting)
            waiting.seek(0)
            yield _taken_up(waiting, names)

    return opened


def _put_aside(rows: Rows, file: BinaryIO) -> list[str]:
    """Write the rows to a file; returns the columns, in the order in which they came."""
    names: dict[str, None] = {}
    for item in rows:
        if isinstance(item, Unread):
            _write(file, _UNREAD, json.dumps([item.text, item.reason]).encode())
        else:
            names.update(dict.fromkeys(item.schema.names))
            _write(file, _BATCH, _as_bytes(item))
    return list(names)


def _taken_up(file: BinaryIO, names: list[str]) -> Rows:
    while kind := file.read(1):
        body = file.read(int.from_bytes(file.read(_LENGTH_BYTES)))
        if kind == _UNREAD:
            yield Unread(*json.loads(body))
            continue
        with pa.ipc.open_stream(body) as stream:
            yield _completed(stream.read_next_batch(), names)


def _completed(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    for name in names:
        if name not in batch.schema.names:
            batch = batch.append_column(name, pa.nulls(batch.num_rows))
    return batch.select(names)


def _write(file: BinaryIO, kind: bytes, body: bytes) -> None:
    file.write(kind + len(body).to_bytes(_LENGTH_BYTES))
    file.write(body)


def _as_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())
