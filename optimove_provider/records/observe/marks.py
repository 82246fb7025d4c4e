"""What is odd about single ids: a column of them at a time, and a text at a time only where its bytes are not plain."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.cells.ids import (
    NULL_MARKERS,
    has_unseen,
    is_null_marker,
    is_padded,
    seen,
    without_case,
)
from optimove_provider.records.arrow.types import Bytes, Integers, Mask, Offsets
from optimove_provider.records.observe.cell_bytes import CellBytes
from optimove_provider.records.repeated.text_hashes import Hashes, text_hashes

UNPADDED, HAS_EXPONENT, PADDED, UNSEEN, NULL_MARKER = 1, 2, 4, 8, 16
"""One bit each, in a byte of flags that is stored with the id."""

_EXPONENT = r"^\s*[+-]?[0-9](?:[.,][0-9]+)?[eE][+-]?[0-9]{1,3}\s*$"
_AS_TEXT = pc.CastOptions(pa.string(), allow_invalid_utf8=True)


class Marks(NamedTuple):
    """By id: its flags, whether there is nothing to be seen in it, whether it is digits alone, and a hash of what is
    seen of it, without case."""

    flags: Bytes
    blank: Mask
    numbers: Mask
    hashes: Hashes


def marks(cells: pa.BinaryArray) -> Marks:
    """Look at ids, of which none is null."""
    column = CellBytes(cells)
    numbers = column.digits_alone()
    flags = np.zeros(len(cells), np.uint8)
    flags[numbers & ((column.first != ord("0")) | (column.lengths < 2))] = UNPADDED
    flags[_exponents(column)] |= HAS_EXPONENT
    flags[_null_markers(column)] |= NULL_MARKER
    blank = np.zeros(len(cells), bool)
    hashes = text_hashes(_lower(column, numbers))
    odd = column.not_plain()
    if len(odd):
        hashes[odd] = text_hashes(_judge_odd(column, odd, flags, blank))
    flags[blank] = 0
    return Marks(flags, blank, numbers, hashes)


def forms(cell: bytes) -> tuple[bytes, bytes]:
    """What is seen of an id, and the same without case."""
    look = seen(cell.decode("utf-8", "surrogateescape"))
    return look.encode("utf-8", "surrogateescape"), without_case(look).encode("utf-8", "surrogateescape")


_BEFORE_EXPONENT, _AFTER_EXPONENT = np.zeros(256, bool), np.zeros(256, bool)
_BEFORE_EXPONENT[list(b"0123456789+- \t\n\v\f\r")] = True
_AFTER_EXPONENT[list(b"0123456789 \t\n\v\f\r")] = True


def _exponents(column: CellBytes) -> Integers:
    """The ids with an exponent, as a spreadsheet writes it."""
    maybe = _BEFORE_EXPONENT.take(column.first) & _AFTER_EXPONENT.take(column.last) & (column.lengths > 2)
    if not maybe.any() or not ((column.data | 0x20) == ord("e")).any():
        return np.empty(0, np.int64)
    rows = np.flatnonzero(maybe)
    found = pc.match_substring_regex(column.cells.take(pa.array(rows)), _EXPONENT).to_numpy(zero_copy_only=False)
    return np.asarray(rows[found])


_MARKER_LENGTHS = np.zeros(max(map(len, NULL_MARKERS)) + 2, bool)
_MARKER_FIRST, _MARKER_LAST = np.zeros(256, bool), np.zeros(256, bool)
for _marker in NULL_MARKERS:
    _MARKER_LENGTHS[len(_marker)] = True
    _MARKER_FIRST[[*_marker[:1].encode(), *_marker[:1].upper().encode()]] = True
    _MARKER_LAST[[*_marker[-1:].encode(), *_marker[-1:].upper().encode()]] = True


def may_be_markers(lengths: Offsets, first: Bytes, last: Bytes) -> Mask:
    """Which cells may be markers of null, by their lengths, first and last bytes: few others. Any byte will do for an
    empty cell, which is none."""
    return np.asarray(_MARKER_LENGTHS.take(lengths, mode="clip") & _MARKER_FIRST.take(first) & _MARKER_LAST.take(last))


def _null_markers(column: CellBytes) -> Integers:
    rows, texts = column.picked(may_be_markers(column.lengths, column.first, column.last))
    found = [is_null_marker(text.decode("utf-8", "replace")) for text in texts]
    return rows[np.array(found, bool)] if len(rows) else rows


def _lower(column: CellBytes, numbers: Mask) -> pa.BinaryArray:
    """The ids without the case of ASCII."""
    if numbers.all() or not (column.data - np.uint8(ord("A")) < 26).any():
        return column.cells
    return pc.ascii_lower(pc.cast(column.cells, options=_AS_TEXT)).cast(pa.binary())


def _judge_odd(column: CellBytes, odd: Integers, flags: Bytes, blank: Mask) -> pa.BinaryArray:
    """Judge ids text by text, and write down what they are; returns what is seen of each, without case."""
    loosest = []
    for row, cell in zip(odd.tolist(), column.cells.take(pa.array(odd)).to_pylist(), strict=True):
        text = cell.decode("utf-8", "surrogateescape")
        look = seen(text)
        blank[row] = not look
        flags[row] |= is_padded(text) * PADDED | has_unseen(text) * UNSEEN | is_null_marker(look) * NULL_MARKER
        loosest.append(without_case(look).encode("utf-8", "surrogateescape"))
    return pa.array(loosest, pa.binary())
