"""Which cells of a column are right beyond doubt: fast, and blind to everything that is not plain.

Each function takes a column of Arrow binaries and gives a mask: True where a cell is certainly VALID by the rule of the
same name (or empty), False where the rule has to be asked. Nothing here refuses a cell, so nothing here can be wrong in
a way that shows, except by calling a cell plain: a property test compares each function with its rule.

All look at the bytes of a whole column at once; only what is rare (a sign, a letter) is traced back to its cell.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from optimove_provider.records.arrow.types import Bytes, Mask, Offsets
from optimove_provider.records.observe.marks import may_be_markers

Plain = Callable[[pa.BinaryArray], Mask]

_MINUS, _POINT, _ZERO, _NINE = (np.uint8(ord(one)) for one in "-.09")
_PADDING, _WORD = 4, 8
"""Zeros after the bytes of a column, so that looking a little beyond a cell is no fault; up to the end of a word."""


class _Cells(NamedTuple):
    """Where each cell starts and ends, its length and first byte (any if it is empty), and all bytes, padded."""

    starts: Offsets
    ends: Offsets
    lengths: Offsets
    first: Bytes
    data: Bytes

    @property
    def text(self) -> Bytes:
        """The bytes without the padding."""
        return self.data[: self.ends[-1]] if len(self.ends) else self.data[:0]

    def rows(self, positions: Offsets) -> Offsets:
        """The cells that bytes belong to."""
        return np.searchsorted(self.ends, positions, "right")


def _edges(column: pa.BinaryArray) -> Offsets:
    """Where each cell starts in the column's bytes, and where the last one ends."""
    if not len(column):
        return np.zeros(1, np.int64)
    return np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset).astype(np.int64)


def _cells(column: pa.BinaryArray) -> _Cells:
    edges = _edges(column)
    start, size = int(edges[0]), int(edges[-1] - edges[0])
    padded = np.zeros(-(-(size + _PADDING) // _WORD) * _WORD, np.uint8)
    if size:
        padded[:size] = np.frombuffer(column.buffers()[2], np.uint8, size, start)
    edges -= start
    return _Cells(edges[:-1], edges[1:], np.diff(edges), padded.take(edges[:-1]), padded)


def key(column: pa.BinaryArray) -> Mask:
    """Cells that begin with a visible character of ASCII: they are no empty key."""
    cells = _cells(column)
    return np.asarray((cells.lengths > 0) & (cells.first - np.uint8(ord("!")) <= ord("~") - ord("!")))


def true_or_false(column: pa.BinaryArray) -> Mask:
    """The two words in lowercase."""
    starts, ends, lengths, _, data = _cells(column)
    fours = np.ndarray(len(data) - 3, np.uint32, data, strides=(1,)).take(starts)
    true, fals = np.frombuffer(b"truefals", np.uint32)
    is_false = (lengths == 5) & (fours == fals) & (data.take(ends - 1) == ord("e"))
    return np.asarray((lengths == 0) | (lengths == 4) & (fours == true) | is_false)


def long(column: pa.BinaryArray) -> Mask:
    """Integers of at most 18 digits, or of 19 below 9e18."""
    cells = _cells(column)
    plain = (cells.lengths <= 18) | (cells.lengths == 19) & (cells.first < _NINE)
    plain &= (cells.lengths < 2) | (cells.first != _ZERO)
    return _without(cells, plain, np.flatnonzero(cells.text - _ZERO > 9))


def epoch(column: pa.BinaryArray) -> Mask:
    """Integers of 7 to 11 digits without a sign, but for those of 8 that begin as the years 1900 to 2199 do: as
    seconds, up to the year 5138."""
    cells = _cells(column)
    right = (cells.lengths >= 7) & (cells.lengths <= 11) & (cells.first != _ZERO) & (cells.first != _MINUS)
    dates = np.flatnonzero((cells.lengths == 8) & (cells.first - np.uint8(ord("1")) <= 1))
    centuries = (cells.first[dates] - _ZERO) * np.uint8(10) + cells.data[cells.starts[dates] + 1] - _ZERO
    right[dates[(centuries >= 19) & (centuries <= 21)]] = False
    return _without(cells, right | (cells.lengths == 0), np.flatnonzero(cells.text - _ZERO > 9))


def epoch_milliseconds(column: pa.BinaryArray) -> Mask:
    """Integers of 12 or 13 digits without a sign: as milliseconds, from March 1973 to the year 2286."""
    cells = _cells(column)
    right = (cells.lengths >= 12) & (cells.lengths <= 13) & (cells.first != _ZERO) & (cells.first != _MINUS)
    return _without(cells, right | (cells.lengths == 0), np.flatnonzero(cells.text - _ZERO > 9))


def double(column: pa.BinaryArray) -> Mask:
    """Decimal numbers so short that no double rounds them to 0 or infinity, with one point at most, between digits."""
    cells = _cells(column)
    starts, ends, lengths, first, data = cells
    points = data == _POINT
    so_far = _counts(points)
    many = so_far(ends - 1) - so_far(starts)  # the first byte is none
    plain = (lengths <= 32) & ((many == 0) | (many == 1) & (data.take(ends - 1) != _POINT))
    plain &= (first != _POINT) & ((first != _ZERO) | (lengths < 2) | points.take(starts + 1))
    others = (cells.text - _ZERO > 9) & ~points[: len(cells.text)]
    return _without(cells, plain | (lengths == 0), np.flatnonzero(others))


def _counts(marks: Mask) -> Callable[[Offsets], Bytes]:
    """How many marks there are up to each of some bytes and on it, modulo 256: longer cells are not plain.

    Eight bytes at a time: multiplied, each byte of a word becomes the sum of those up to it.
    """
    words = marks.view("<u8") * np.uint64(0x0101010101010101)
    in_word = words.astype("<u8", copy=False).view(np.uint8)
    before = np.concatenate([np.zeros(1, np.uint8), np.cumsum(in_word[7::8], dtype=np.uint8)])
    return lambda at: before.take(at >> 3) + in_word.take(at)


def _without(cells: _Cells, plain: Mask, others: Offsets) -> Mask:
    """What is plain, but for cells with other bytes than those of a number; a minus sign may come before one."""
    rows, data = cells.rows(others), cells.data
    lengths, after = cells.lengths[rows], data[others + 1]
    zero = (after == _ZERO) & ((lengths == 2) | (data[others + 2] == _POINT))
    sign = (data[others] == _MINUS) & (others == cells.starts[rows]) & (lengths > 1)
    sign &= (after - np.uint8(ord("1")) <= 8) | zero
    plain[rows[~sign]] = False
    return np.asarray(plain)


_FEW = 100
"""One in so many cells, or fewer."""

_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0], np.uint8)
"""That every year has, by month; a month beyond the table is taken for the last."""


def date(column: pa.BinaryArray) -> Mask:
    """Days of the years 1000 to 2999, without 29 February."""
    return _fixed(column, b"1000-00-00", b"2999-19-39")


def datetime(column: pa.BinaryArray) -> Mask:
    """The same days with a time and a Z."""
    return _fixed(column, b"1000-00-00T00:00:00Z", b"2999-19-39T29:59:59Z")


def _fixed(column: pa.BinaryArray, low: bytes, high: bytes) -> Mask:
    """Cells of one width whose bytes all lie between those of `low` and `high`, and that begin with a day."""
    edges, width = _edges(column), len(low)
    lengths = np.diff(edges)
    mask = lengths == 0
    right = np.flatnonzero(lengths == width)
    if not len(right):
        return np.asarray(mask)
    text = _text_of(column, edges, np.flatnonzero((lengths != width) & ~mask))
    span = bytes(most - least for least, most in zip(low, high, strict=True))
    outside = text - _repeated(low, len(right)) > _repeated(span, len(right))
    rows = text.reshape(-1, width)
    plain = _number(rows, 8) - np.uint8(1) < _DAYS.take(_number(rows, 5), mode="clip")
    if width > len("2022-05-02T"):
        plain &= _number(rows, 11) < 24
    plain[np.flatnonzero(outside) // width] = False
    mask[right] = plain
    return np.asarray(mask)


def _text_of(column: pa.BinaryArray, edges: Offsets, without: Offsets) -> Bytes:
    """The bytes of all cells but some. Where these are few, it is faster to copy what lies between them."""
    if len(without) > len(column) // _FEW:
        column = column.take(pa.array(np.delete(np.arange(len(column)), without)))
        edges, without = _edges(column), without[:0]
    data = np.frombuffer(column.buffers()[2], np.uint8)
    starts, ends = [edges[0], *edges[without + 1]], [*edges[without], edges[-1]]
    return np.concatenate([data[start:end] for start, end in zip(starts, ends, strict=True)])


def _repeated(text: bytes, times: int) -> Bytes:
    return _power_of_two(text, (times - 1).bit_length())[: times * len(text)]


@lru_cache(maxsize=8)
def _power_of_two(text: bytes, power: int) -> Bytes:
    return np.tile(np.frombuffer(text, np.uint8), 1 << power)


def _number(rows: Bytes, column: int) -> Bytes:
    """The number that two digits make."""
    return np.asarray(rows[:, column] * np.uint8(10) + rows[:, column + 1] - np.uint8(ord("0") * 11 % 256))


def string(column: pa.BinaryArray) -> Mask:
    """Cells that are no marker of null, by their lengths, first and last bytes."""
    edges = _edges(column)
    if edges[-1] == edges[0]:
        return np.ones(len(column), bool)
    data = np.frombuffer(column.buffers()[2], np.uint8, int(edges[-1]))
    first, last = data.take(edges[:-1], mode="clip"), data.take(edges[1:] - 1, mode="clip")
    return np.asarray(~may_be_markers(np.diff(edges), first, last))


PLAIN: Mapping[str, Plain] = {
    "bool": true_or_false,
    "long": long,
    "double": double,
    "date": date,
    "datetime": datetime,
    "epoch": epoch,
    "epoch_milliseconds": epoch_milliseconds,
}
"""By the name of the rule. A string is never broken: `string` is about markers of null."""
