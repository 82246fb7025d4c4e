"""A column as JSON text, and how Arrow stores it: NumPy looks at that in a fraction of the time of a kernel."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.records.arrow.types import Bytes, Integers, Mask

NOT_UNICODE = "text that is not valid Unicode"

Piece = tuple[pa.StringArray, npt.NDArray[np.signedinteger[Any]] | int]
"""Texts, and which of them each row has: one number if all rows have the same."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A column as text: `begin`, the arrays one after the other, and `end`. A value is null where the first array is.

    The other arrays are null there too. `unfit` says by index why a value has no form.
    """

    arrays: tuple[pa.Array, ...]
    begin: str = ""
    end: str = ""
    unfit: dict[int, str] = field(default_factory=dict)

    def filter(self, fit: pa.BooleanArray) -> "Texts":
        """The same of the rows that are fit."""
        return Texts(tuple(array.filter(fit) for array in self.arrays), self.begin, self.end)

    def whole(self) -> pa.StringArray:
        """The values as one array; what is null, as if it were empty."""
        if len(self.arrays) == 1 and not self.begin + self.end:
            return self.arrays[0]
        each = np.arange(len(self.arrays[0]), dtype=np.int32)
        begin, end = pa.array([self.begin]), pa.array([self.end])
        return interleaved([(begin, 0), *((array, each) for array in self.arrays), (end, 0)], len(each))

    @property
    def valid(self) -> Mask | None:
        """Where there is a value; None means everywhere."""
        return valid(self.arrays[0]) if self.arrays[0].null_count else None


def interleaved(pieces: Sequence[Piece], rows: int) -> pa.StringArray:
    """The pieces of each row as one text; a null is nothing.

    Everything is taken in the order in which it is written, which is faster than `binary_join_element_wise`: then the
    bytes are those of the rows already, and only where each row begins is left to say.
    """
    if not rows:
        return pa.array([], pa.string())
    order = np.empty((rows, len(pieces)), np.int32)
    start = 0
    for column, (texts_, which) in enumerate(pieces):
        np.add(which, start, out=order[:, column], dtype=np.int32)
        start += len(texts_)
    taken = pa.concat_arrays([texts_ for texts_, _ in pieces]).take(pa.array(order.reshape(-1)))
    _, edges, text = taken.buffers()
    begins = np.frombuffer(edges, np.int32, rows * len(pieces) + 1)[:: len(pieces)]
    return pa.StringArray.from_buffers(rows, pa.py_buffer(begins.copy()), text)


def mask(array: pa.BooleanArray) -> Mask:
    """The same for NumPy; nothing in it may be null."""
    return np.asarray(array.to_numpy(zero_copy_only=False))


def valid(array: pa.Array) -> Mask:
    """Where there are values."""
    bitmap = array.buffers()[0] if array.null_count else None
    if bitmap is None:
        return np.full(len(array), not array.null_count)
    first = array.offset // 8
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8, offset=first), bitorder="little", count=len(array) + 7)
    return bits[array.offset % 8 :][: len(array)].view(bool)


def numbers(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """What a column of a fixed width is stored as, 0 where it is null."""
    width = np.dtype(dtype).itemsize
    stored = np.frombuffer(array.buffers()[1] or b"", dtype, len(array), array.offset * width)
    return np.where(valid(array), stored, stored.dtype.type(0)) if array.null_count else stored


def indices(mask: Mask) -> list[int]:
    """The indices where it is true."""
    return np.flatnonzero(mask).tolist()


def without(array: pa.Array, bad: Mask) -> pa.Array:
    """The same, null where it is bad. No value is copied: up to Arrow 23 `if_else` cuts the texts of a slice."""
    fit = np.zeros(array.offset + len(array), bool)
    fit[array.offset :] = valid(array) & ~bad
    buffers = [pa.py_buffer(np.packbits(fit, bitorder="little")), *array.buffers()[1:]]
    return pa.Array.from_buffers(array.type, len(array), buffers, offset=array.offset)


def as_text(column: pa.Array) -> pa.StringArray:
    """Text of any layout as plain strings."""
    return column if column.type == pa.string() else column.cast(pa.string())


def characters(column: pa.StringArray) -> Bytes:
    """The bytes of all texts, one after the other."""
    _, offsets, data = column.buffers()
    if not len(column) or data is None or not data.size:
        return np.empty(0, np.uint8)
    edges = np.frombuffer(offsets, np.int32)
    return np.frombuffer(data, np.uint8)[edges[column.offset] : edges[column.offset + len(column)]]


def bytes_of(column: pa.StringArray) -> tuple[Integers, Bytes]:
    """Where each text starts and the last one ends, and the bytes between the first start and the last end."""
    data = characters(column)
    if not len(data):
        return np.zeros(len(column) + 1, np.int64), data
    edges = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    return edges.astype(np.int64) - edges[0], data


def unicode(column: pa.StringArray) -> tuple[pa.StringArray, dict[int, str]]:
    """The texts that are valid Unicode; the others are null and unfit."""
    data = characters(column)
    if not len(data) or data.max() < 0x80 or _is_utf8(*bytes_of(column)):
        return column, {}
    bad = np.zeros(len(column), bool)
    for position, text in enumerate(column.cast(pa.binary()).to_pylist()):
        try:
            (text or b"").decode()
        except UnicodeDecodeError:
            bad[position] = True
    return without(column, bad), dict.fromkeys(indices(bad), NOT_UNICODE)


def _is_utf8(edges: Integers, data: Bytes) -> bool:
    """Whether all is UTF-8, and no text begins in the middle of a character. One check of all bytes is fast."""
    starts = edges[edges < len(data)]
    if ((data[starts] & 0xC0) == 0x80).any():
        return False
    offsets = pa.py_buffer(np.array([0, len(data)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
