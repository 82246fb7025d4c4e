"""Which rows of two sets have one key and one fingerprint: numbers are compared, out of core, and nothing is joined.

A row is its digest, of 96 bits, and its number. Both sets are dealt into ranges of the digest, in temporary files, and
a few neighbouring ranges at a time are compared in memory.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.records.arrow.types import Integers

RANGES = 256
"""By the digest's last byte."""
CHUNK = 1 << 18
"""Rows that are dealt, and written, together."""
AT_ONCE = 1 << 20
"""Rows of both sets that are compared together: 16 MB, and as much again for finding them."""
MOST = 1 << 32
"""Numbers of rows are less than this."""
_FINGERPRINT_WORDS = 3
_WORD = np.uint64(32)
_ROUNDS = (8, 24, 40)
"""Which bits of a digest say where a row is put, one round after the other: what shares its place waits for the next
one, and what is left then may be the same nevertheless."""

Words = npt.NDArray[np.uint64]


class Digests(NamedTuple):
    """Rows: the first 64 bits of each one's digest; and the other 32, above the number of the row."""

    first: Words
    rest: Words

    @property
    def numbers(self) -> Integers:
        """The numbers of the rows."""
        return (self.rest & np.uint64(MOST - 1)).astype(np.int64)

    def take(self, places: npt.NDArray[np.integer[Any]]) -> "Digests":
        """Some of the rows."""
        return Digests(self.first.take(places), self.rest.take(places))


def digests_of(fingerprints: pa.BinaryArray, key_hashes: pa.UInt64Array, numbers: pa.Int64Array) -> Digests:
    """Digests of rows by fingerprints, of 12 bytes each and none null, and hashes of their keys, which need not outlast
    the comparison."""
    first = np.frombuffer(fingerprints.buffers()[1], np.int32)[fingerprints.offset]
    size = len(fingerprints) * _FINGERPRINT_WORDS
    words = np.frombuffer(fingerprints.buffers()[2], np.uint32, size, int(first)).reshape(-1, _FINGERPRINT_WORDS)
    low, middle, high = (words[:, place].astype(np.uint64) for place in range(_FINGERPRINT_WORDS))
    low |= middle << _WORD
    return Digests(low ^ key_hashes.to_numpy(), high << _WORD | numbers.to_numpy().astype(np.uint64))


class DealtDigests(AbstractContextManager["DealtDigests"]):
    """Rows by digest in a file at `path`, a chunk after the other, and dealt into ranges within each."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._chunks: list[tuple[int, Integers]] = []  # where one begins, and where in it each range does, in rows
        self._waiting: list[Digests] = []
        self._rows = 0

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: Digests) -> None:
        """Add some rows."""
        self._waiting.append(rows)
        self._rows += len(rows.first)
        if self._rows >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write the last rows: before anything is read."""
        if not self._rows:
            return
        rows = Digests(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
        self._waiting, self._rows = [], 0
        ranges = rows.first.astype(np.uint8)
        dealt = rows.take(np.argsort(ranges, kind="stable"))
        starts = np.concatenate([[0], np.cumsum(np.bincount(ranges, minlength=RANGES))])
        self._chunks.append((self._file.tell(), starts))
        for column in dealt:
            self._file.write(column.data)
        self._file.flush()

    @property
    def sizes(self) -> Integers:
        """How many rows each range has."""
        return sum((np.diff(starts) for _, starts in self._chunks), np.zeros(RANGES, np.int64))

    def read(self, first: int, end: int) -> Digests:
        """The rows of neighbouring ranges."""
        size = sum(int(starts[end] - starts[first]) for _, starts in self._chunks)
        found = Digests(np.empty(size, np.uint64), np.empty(size, np.uint64))
        place = 0
        for begin, starts in self._chunks:
            at, count, rows = int(starts[first]), int(starts[end] - starts[first]), int(starts[-1])
            for column, offset in zip(found, (begin, begin + 8 * rows), strict=True):
                some = column[place : place + count]
                if os.preadv(self._file.fileno(), [some.data], offset + 8 * at) != some.nbytes:
                    raise OSError(errno.EIO, "a temporary file is shorter than what was written", self._file.name)
            place += count
        return found


def same(old: DealtDigests, new: DealtDigests) -> Iterator[tuple[Integers, Integers]]:
    """Of the rows of two sets, those of the same digest, by their numbers: pairs of as many numbers of either set.

    A few are not found: what is not here may be the same nevertheless. No row is in two pairs.
    """
    for first, end in _groups(old.sizes + new.sizes):
        yield from _same(old.read(first, end), new.read(first, end))


def _groups(sizes: Integers) -> Iterator[tuple[int, int]]:
    """Neighbouring ranges that are compared together: the first, and the one after the last."""
    first, rows = 0, 0
    for number, size in enumerate(sizes.tolist()):
        if rows and rows + size > AT_ONCE:
            yield first, number
            first, rows = number, 0
        rows += size
    yield first, len(sizes)


def _same(old: Digests, new: Digests) -> Iterator[tuple[Integers, Integers]]:
    places = (2 * len(old.first)).bit_length()
    for shift in _ROUNDS:
        if not (len(old.first) and len(new.first)):
            return
        found = _candidates(old.first, new.first, np.uint64(shift), places)
        known = old.take(found)
        is_same = (known.first == new.first) & (known.rest >> _WORD == new.rest >> _WORD)
        is_left = np.ones(len(old.first), np.bool_)
        is_left[found[is_same]] = False
        pairs = int(np.count_nonzero(is_same))
        if len(is_left) - int(np.count_nonzero(is_left)) == pairs:  # or else a digest is there twice
            yield known.numbers[is_same], new.numbers[is_same]
        old, new = old.take(np.flatnonzero(is_left)), new.take(np.flatnonzero(~is_same))


def _candidates(old: Words, new: Words, shift: np.uint64, bits: int) -> npt.NDArray[np.int32]:
    """For each new row, the old one that was put where it belongs, or any."""
    mask = np.uint64((1 << bits) - 1)
    places = np.zeros(1 << bits, np.int32)
    places[((old >> shift) & mask).view(np.int64)] = np.arange(len(old), dtype=np.int32)
    return places.take(((new >> shift) & mask).view(np.int64))
