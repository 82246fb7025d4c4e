"""Texts with their hashes and locations, dealt into buckets by the hash, in one file that has no name.

The file goes with the process, however that ends. Some hundred thousand texts are written at a time, in the order of
their buckets; a range of buckets is read from each of these chunks.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.disk.room import telling
from optimove_provider.disk.temporary import ADVICE
from optimove_provider.records.repeated.text_hashes import Hashes

_BITS = 10
BUCKETS = 1 << _BITS
ROW = np.dtype([("row", "<i8"), ("line", "<i8"), ("byte", "<i8"), ("flags", "u1"), ("length", "<u4")], align=True)
"""What is kept beside a text: its location, a byte of flags, and its length in bytes. In 32 bytes, which NumPy moves in
one go: to deal 29 takes three times as long."""
_ENOUGH, _ENOUGH_BYTES = 100_000, 4 << 20
"""Texts that are dealt at once, and their bytes."""

Rows = npt.NDArray[np.void]
Counts = npt.NDArray[np.integer[Any]]


def joined(some: Sequence[Rows]) -> Rows:
    """The rows as one array, as bytes: NumPy would copy them field by field, in fifteen times the time."""
    return np.concatenate([rows.view(np.uint8) for rows in some]).view(ROW)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk has of some buckets. Those of one bucket are in the order in which they were added."""

    file: IO[bytes]
    count: int
    nbytes: int
    hashes_at: int
    rows_at: int
    texts_at: int

    def hashes(self) -> Hashes:
        """The hashes."""
        return self._read(self.hashes_at, np.empty(self.count, np.uint64))

    def rows(self) -> Rows:
        """What is beside the texts, as ROW."""
        return self._read(self.rows_at, np.empty(self.count, ROW))

    def texts(self, rows: Rows) -> pa.BinaryArray:
        """The texts, given their rows."""
        edges = np.append(np.int32(0), np.cumsum(rows["length"], dtype=np.int32))
        text = self._read(self.texts_at, np.empty(self.nbytes, np.uint8))
        return pa.Array.from_buffers(pa.binary(), self.count, [None, pa.py_buffer(edges), pa.py_buffer(text)])

    def _read(self, at: int, into: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if into.nbytes:
            self.file.seek(at)
            self.file.readinto(into.view(np.uint8).data)  # type: ignore[attr-defined]
        return into


class Dealt:
    """The file, in `folder` (None: the system's folder for temporary files). `sizes` are the texts by bucket, `nbytes`
    the bytes of these, `written` all bytes of the file."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._chunks: list[tuple[int, Counts, Counts]] = []  # where, and the first row and byte of each bucket
        self._waiting: list[tuple[Hashes, Rows, pa.BinaryArray]] = []
        self.sizes, self.nbytes = np.zeros(BUCKETS, np.int64), np.zeros(BUCKETS, np.int64)
        self.written = 0

    def add(self, hashes: Hashes, rows: Rows, texts: pa.BinaryArray) -> None:
        """Take texts, of which none is null. Raises NotWritten where the disk is full."""
        self._waiting.append((hashes, rows, texts))
        held = [some for _, _, some in self._waiting]
        if sum(map(len, held)) >= _ENOUGH or sum(some.nbytes for some in held) >= _ENOUGH_BYTES:
            self.deal()

    def deal(self) -> None:
        """Deal what was added and is still held."""
        if self._waiting:
            hashes, rows, texts = zip(*self._waiting, strict=True)
            self._waiting = []
            with telling(self._folder or tempfile.gettempdir(), advice=ADVICE):
                self._deal(np.concatenate(hashes), joined(rows), pa.concat_arrays(texts))

    def _deal(self, hashes: Hashes, rows: Rows, texts: pa.BinaryArray) -> None:
        buckets = (hashes >> np.uint64(64 - _BITS)).astype(np.uint16)  # which NumPy sorts in one go
        order = np.argsort(buckets, kind="stable")
        firsts = np.append(0, np.cumsum(np.bincount(buckets, minlength=BUCKETS)))
        texts = texts.take(pa.array(order))
        edges = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1)
        text = np.frombuffer(texts.buffers()[2] or b"", np.uint8, edges[-1])
        self._file = self._file or tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - `close` does
        self._file.seek(0, os.SEEK_END)
        for one in (hashes.take(order), rows.take(order), text):
            self._file.write(one.view(np.uint8).data)
        self._chunks.append((self.written, firsts.astype(np.uint32), edges.take(firsts)))
        self.written += hashes.nbytes + rows.nbytes + text.nbytes
        self.sizes += np.diff(firsts)
        self.nbytes += np.diff(edges.take(firsts))

    def pieces(self, low: int, high: int) -> Iterator[Piece]:
        """What there is of the buckets from one on, up to another: in the order in which it was added."""
        for at, firsts, first_bytes in self._chunks:
            first, last, all_ = int(firsts[low]), int(firsts[high]), int(firsts[-1])
            start, end = int(first_bytes[low]), int(first_bytes[high])
            if self._file and first < last:
                rows_at = at + all_ * 8
                texts_at = rows_at + all_ * ROW.itemsize + start
                places = (at + first * 8, rows_at + first * ROW.itemsize, texts_at)
                yield Piece(self._file, last - first, end - start, *places)

    def close(self) -> None:
        """Give the file up; may be called twice."""
        if self._file:
            with suppress(OSError):  # a full disk: what is left to write goes anyway
                self._file.close()
