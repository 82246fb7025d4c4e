"""Rows that wait in a file, so that their source can be closed: memory stays that of a batch."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from optimove_provider.disk.room import not_written
from optimove_provider.disk.temporary import ADVICE
from optimove_provider.records.rows import Rows, Unread

AS_READ = ".rows"
"""With what the name of such a file ends."""
_BATCH, _UNREAD = b"b", b"u"
_LENGTH_BYTES = 8
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4")


class WaitingRows:
    """Batches and unread rows in the order in which they were put aside, in a file: any that is open for what is done
    with it. `rows` counts all."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._fields: dict[str, pa.Field] = {}
        self.rows = 0

    @property
    def names(self) -> list[str]:
        """All columns so far, in the order in which they came."""
        return list(self._fields)

    @property
    def schema(self) -> pa.Schema:
        """The same, each of the first type in which it has values."""
        return pa.schema(list(self._fields.values()))

    def put_aside(self, rows: Rows) -> None:
        """Write rows to the file, and count them."""
        for item in rows:
            self.rows += 1 if isinstance(item, Unread) else item.num_rows
            if isinstance(item, Unread):
                self._write(_UNREAD, json.dumps([item.text, item.reason]).encode())
            else:
                for field in item.schema:
                    if field.name not in self._fields or pa.types.is_null(self._fields[field.name].type):
                        self._fields[field.name] = field
                self._write(_BATCH, _as_bytes(item))

    def take_up(self) -> Rows:
        """All rows, from the first one. Raises EOFError where the file was cut short since."""
        self._file.seek(0)
        while kind := self._file.read(1):
            length = int.from_bytes(self._file.read(_LENGTH_BYTES))
            body = self._file.read(length)
            if len(body) < length:
                raise EOFError("a file of waiting rows is shorter than it was")
            if kind == _UNREAD:
                yield Unread(*json.loads(body))
                continue
            with pa.ipc.open_stream(body) as stream:
                yield stream.read_next_batch()

    def _write(self, kind: bytes, body: bytes) -> None:
        self._file.write(kind + len(body).to_bytes(_LENGTH_BYTES))
        self._file.write(body)


class _InTemporaryFile(WaitingRows):
    """Raises NotWritten, which names the folder, where there is no room."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._bytes = 0

    def _write(self, kind: bytes, body: bytes) -> None:
        try:
            super()._write(kind, body)
            self._bytes += len(body)
            self._file.flush()
        except OSError as error:
            raise not_written(error, tempfile.gettempdir(), len(body), ADVICE, self._bytes) or error from error


@contextmanager
def waiting_rows() -> Iterator[WaitingRows]:
    """A place for rows, in the folder for temporary files; what lies there is gone at the end, whatever happens."""
    with tempfile.TemporaryFile() as file:
        yield _InTemporaryFile(cast(BinaryIO, file))


def _as_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_PACKED) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())
