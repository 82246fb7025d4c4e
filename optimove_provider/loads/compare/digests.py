"""Which rows of two sets have one key and one fingerprint: numbers are compared, out of core, and nothing is joined.

Both sets are dealt into ranges of their digests, in files, and a few neighbouring ranges at a time are compared in
memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimove_provider.loads.spool.row_digests import RANGES, Digests, DigestsFile, Words
from optimove_provider.records.arrow.types import Integers, Mask

AT_ONCE = 1 << 18
"""Rows of both sets that are compared together: so many, and what finds them, stay in a processor's cache."""
_WORD = np.uint64(32)
_ROUNDS = (8, 24, 40)
"""Which bits of a digest say where a row is put, one round after the other: what shares its place waits for the next
one, and what is left then may be the same nevertheless."""


@dataclass(frozen=True, slots=True)
class DealtRows:
    """A set of rows in files, `without` some of their numbers."""

    files: Sequence[DigestsFile]
    without: Mask | None = None

    @property
    def sizes(self) -> Integers:
        """How many rows each range has, or fewer."""
        return sum((file.sizes() for file in self.files), np.zeros(RANGES, np.int64))

    def read(self, first: int, end: int) -> Digests:
        """The rows of neighbouring ranges."""
        found = [rows for file in self.files for rows in file.read(first, end)]
        if not found:
            return Digests(np.empty(0, np.uint64), np.empty(0, np.uint64))
        rows = Digests(*(np.concatenate(column) for column in zip(*found, strict=True)))
        return rows if self.without is None else rows.take(np.flatnonzero(~self.without.take(rows.numbers)))


def same(old: DealtRows, new: DealtRows) -> Iterator[tuple[Integers, Integers]]:
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
