"""Texts with numbers beside them, dealt into buckets by a hash, in one file that has no name.

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
from optimove_provider.records.arrow.types import Integers
from optimove_provider.records.repeated.text_hashes import Hashes

_BITS = 10
BUCKETS = 1 << _BITS
_ENOUGH, _ENOUGH_BYTES = 100_000, 4 << 20
"""Texts that are dealt at once, and their bytes."""

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where numbers are in the file, of which type, and what has been taken off each."""

    at: int
    dtype: np.dtype[Any]
    base: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What was dealt at once: the first row, and the first byte of text, of each bucket, and an end; the hashes, the
    lengths of the texts, the other numbers, and where the texts are."""

    firsts: npt.NDArray[np.uint32]
    first_bytes: npt.NDArray[np.uint32]
    hashes: _Stored
    lengths: _Stored
    numbers: Sequence[_Stored]
    texts: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk has of some buckets."""

    dealt: "Dealt"
    chunk: _Chunk
    low: int
    high: int

    def __len__(self) -> int:
        return int(self.chunk.firsts[self.high]) - int(self.chunk.firsts[self.low])

    @property
    def nbytes(self) -> int:
        """Of its texts."""
        return int(self.chunk.first_bytes[self.high]) - int(self.chunk.first_bytes[self.low])

    def hashes(self) -> Hashes:
        """The hashes, by which the texts were dealt."""
        return self._read(self.chunk.hashes)

    def lengths(self) -> Integers:
        """Of the texts, in bytes."""
        return self._counted(self.chunk.lengths)

    def numbers(self, column: int) -> Integers:
        """One of the numbers that stand beside the texts."""
        return self._counted(self.chunk.numbers[column])

    def texts(self) -> pa.BinaryArray:
        """The texts. Those of one bucket are in the order in which they were added."""
        edges = np.zeros(len(self) + 1, np.int32)
        np.cumsum(self.lengths(), out=edges[1:])
        at = self.chunk.texts + int(self.chunk.first_bytes[self.low])
        text = self.dealt.read(at, np.empty(self.nbytes, np.uint8))
        return pa.Array.from_buffers(pa.binary(), len(self), [None, pa.py_buffer(edges), pa.py_buffer(text)])

    def _counted(self, stored: _Stored) -> Integers:
        return self._read(stored).astype(np.int64) + stored.base

    def _read(self, stored: _Stored) -> Numbers:
        at = stored.at + int(self.chunk.firsts[self.low]) * stored.dtype.itemsize
        return self.dealt.read(at, np.empty(len(self), stored.dtype))


class Dealt:
    """The file, in `folder` (None: the system's folder for temporary files). `sizes` are the texts by bucket, `nbytes`
    the bytes of these, `written` all bytes of the file."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._chunks: list[_Chunk] = []
        self._waiting: list[tuple[Numbers, ...]] = []
        self._texts: list[pa.BinaryArray] = []
        self._bytes = 0
        self.sizes, self.nbytes = np.zeros(BUCKETS, np.int64), np.zeros(BUCKETS, np.int64)
        self.written = 0

    def add(self, hashes: Hashes, numbers: Sequence[Numbers], texts: pa.BinaryArray) -> None:
        """Take texts, of which none is null. Raises NotWritten where the disk is full."""
        self._waiting.append((hashes, *numbers))
        self._texts.append(texts)
        self._bytes += texts.nbytes
        if sum(map(len, self._texts)) >= _ENOUGH or self._bytes >= _ENOUGH_BYTES:
            self.deal()

    def deal(self) -> None:
        """Deal what was added and is still held."""
        if self._texts:
            hashes, *numbers = (np.concatenate(some) for some in zip(*self._waiting, strict=True))
            texts = pa.concat_arrays(self._texts)
            self._waiting, self._texts, self._bytes = [], [], 0
            self._deal(hashes, numbers, texts)

    def _deal(self, hashes: Hashes, numbers: Sequence[Numbers], texts: pa.BinaryArray) -> None:
        buckets = (hashes >> np.uint64(64 - _BITS)).astype(np.uint16)  # which NumPy sorts in one go
        order = np.argsort(buckets, kind="stable")
        counts = np.bincount(buckets, minlength=BUCKETS)
        firsts = np.append(0, np.cumsum(counts)).astype(np.uint32)
        texts = texts.take(pa.array(order))
        edges = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, 4 * texts.offset)
        first_bytes = edges[firsts] - edges[0]
        with telling(self._folder or tempfile.gettempdir(), advice=ADVICE):
            self._file = self._file or tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - `close` does
            chunk = _Chunk(
                firsts,
                first_bytes.astype(np.uint32),
                self._write(hashes.take(order)),
                self._write_small(np.diff(edges)),
                [self._write_small(one.take(order)) for one in numbers],
                self.written,
            )
            if edges[-1] > edges[0]:
                self._write(np.frombuffer(texts.buffers()[2], np.uint8, edges[-1] - edges[0], edges[0]))
        self._chunks.append(chunk)
        self.sizes += counts
        self.nbytes += np.diff(first_bytes)

    def _write_small(self, numbers: Numbers) -> _Stored:
        """Write what is left of numbers if the least is taken off, in as few bytes as that needs."""
        base = numbers.min()
        rest = numbers - base
        return self._write(rest.astype(np.min_scalar_type(rest.max())), int(base))

    def _write(self, numbers: Numbers, base: int = 0) -> _Stored:
        assert self._file is not None  # noqa: S101 - `add` has opened it
        self._file.seek(0, os.SEEK_END)
        self._file.write(numbers.data)
        self.written += numbers.nbytes
        return _Stored(self.written - numbers.nbytes, numbers.dtype, base)

    def read(self, at: int, into: Numbers) -> Numbers:
        """Fill an array with what is in the file from a byte on."""
        if into.nbytes and self._file:
            self._file.seek(at)
            self._file.readinto(into.data)  # type: ignore[attr-defined]
        return into

    def pieces(self, low: int, high: int) -> Iterator[Piece]:
        """What there is of the buckets from one on, up to another: in the order in which it was added."""
        found = (Piece(self, chunk, low, high) for chunk in self._chunks)
        return (piece for piece in found if len(piece))

    def close(self) -> None:
        """Give the file up; may be called twice."""
        if self._file:
            with suppress(OSError):  # a full disk: what is left to write goes anyway
                self._file.close()
