"""Which cells of a column are right beyond doubt: fast, and blind to everything that is not plain.

Each function takes a column of Arrow binaries and gives a mask: True where a cell is certainly VALID by the rule of the
same name (or empty), False where the rule has to be asked. Nothing here refuses a cell, so nothing here can be wrong in
a way that shows, except by calling a cell plain: a property test compares each function with its rule.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Plain = Callable[[pa.BinaryArray], Mask]

_ZERO, _NINE = ord("0"), 9
_WORDS = pa.array([b"", b"true", b"false"], pa.binary())
_DOUBLE = r"^(?:-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?)?$"
_LONG = r"^(?:0|-?[1-9][0-9]{0,17})?$"


def _buffers(column: pa.BinaryArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Where the cells start and end, and the bytes of all of them."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return ends, np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)


def _mask(values: pa.BooleanArray) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def key(column: pa.BinaryArray) -> Mask:
    """Cells that begin with a character of ASCII other than a space: they are no empty key."""
    ends, data = _buffers(column)
    filled = ends[1:] > ends[:-1]
    first = np.append(data, 0)[ends[:-1]]
    return filled & (first > ord(" ")) & (first < 127)


def true_or_false(column: pa.BinaryArray) -> Mask:
    """The two words in lowercase."""
    return _mask(pc.is_in(column, _WORDS))


def _digits(column: pa.BinaryArray, most: int) -> Mask:
    """At most so many digits, the first of them no 0 unless it is alone."""
    ends, data = _buffers(column)
    lengths = ends[1:] - ends[:-1]
    zero = (lengths > 1) & (np.append(data, 0)[ends[:-1]] == _ZERO)
    plain = (lengths <= most) & ~zero
    others = np.flatnonzero((data[ends[0] : ends[-1]] - np.uint8(_ZERO)) > _NINE) + ends[0]
    plain[np.searchsorted(ends, others, "right") - 1] = False
    return np.asarray(plain)


def long(column: pa.BinaryArray) -> Mask:
    """Integers of at most 18 digits; negative ones are looked for among what is left."""
    return _then_matching(column, _digits(column, 18), _LONG)


def epoch(column: pa.BinaryArray) -> Mask:
    """Integers of at most 11 digits: as seconds, before the year 5138."""
    return _digits(column, 11)


def double(column: pa.BinaryArray) -> Mask:
    """Decimal numbers of at most 15 digits before and after the point."""
    return _mask(pc.match_substring_regex(column, _DOUBLE))


def _then_matching(column: pa.BinaryArray, plain: Mask, pattern: str) -> Mask:
    """What is plain already, and what of the rest matches a pattern."""
    rest = np.flatnonzero(~plain)
    if len(rest):
        plain[rest] = _mask(pc.match_substring_regex(column.take(pa.array(rest)), pattern))
    return plain


def date(column: pa.BinaryArray) -> Mask:
    """Days of the years 1000 to 2999, from the 1st to the 28th; then the other days that every year has."""
    return _then_matching(column, _fixed(column, b"1000-00-00", b"2999-19-39"), f"^(?:{_LATE_DAY})?$")


def datetime(column: pa.BinaryArray) -> Mask:
    """The same days with a time and a Z."""
    plain = _fixed(column, b"1000-00-00T00:00:00Z", b"2999-19-39T29:59:59Z", hours=True)
    return _then_matching(column, plain, f"^(?:{_LATE_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$")


_LATE_DAY = "[12][0-9]{3}-(?:(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"


def _fixed(column: pa.BinaryArray, low: bytes, high: bytes, hours: bool = False) -> Mask:
    """Cells of one width whose bytes all lie between those of `low` and `high`, with a month and a day from 1 to 28."""
    ends, data = _buffers(column)
    lengths = ends[1:] - ends[:-1]
    width = len(low)
    right = lengths == width
    cells = data[ends[0] : ends[-1]]
    if len(cells) != width * int(np.count_nonzero(right)):
        cells = _buffers(column.filter(pa.array(right)))[1]
    rows = cells[: len(cells) // width * width].reshape(-1, width)
    lowest, span = np.frombuffer(low, np.uint8), np.frombuffer(high, np.uint8) - np.frombuffer(low, np.uint8)
    inside = (rows - lowest) <= span
    plain = np.ones(len(rows), bool) if inside.all() else inside.all(axis=1)
    plain &= _between(rows, 5, 1, 12) & _between(rows, 8, 1, 28)
    if hours:
        plain &= _between(rows, 11, 0, 23)
    mask = lengths == 0
    mask[np.flatnonzero(right)] = plain
    return np.asarray(mask)


def _between(rows: npt.NDArray[np.uint8], column: int, least: int, most: int) -> Mask:
    """Whether two digits make a number in a range. Bytes wrap around, which the one comparison makes use of."""
    number = rows[:, column] * np.uint8(10) + rows[:, column + 1] - np.uint8((_ZERO * 11 + least) % 256)
    return np.asarray(number <= most - least)


PLAIN: Mapping[str, Plain] = {
    "bool": true_or_false,
    "long": long,
    "double": double,
    "date": date,
    "datetime": datetime,
    "epoch": epoch,
}
"""By the name of the rule. A rule without an entry is never broken."""
