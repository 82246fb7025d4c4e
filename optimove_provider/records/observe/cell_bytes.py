"""How Arrow stores a column of cells: NumPy looks at that in a fraction of the time of a kernel."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.types import Bytes, Integers, Mask, Offsets

_SPACE, _LAST_VISIBLE = 0x20, 0x7E
MAX_DIGITS = 64
_DIGIT = np.zeros(256, bool)
_DIGIT[list(b"0123456789")] = True
_NOTHING = np.full(1, ord("-"), np.uint8)


class CellBytes:
    """A column of cells as bytes: where each starts and ends, its length, first and last byte (any if it is empty)."""

    def __init__(self, cells: pa.BinaryArray) -> None:
        self.cells = cells
        edges = np.frombuffer(cells.buffers()[1], np.int32, len(cells) + 1, 4 * cells.offset)
        size = int(edges[-1] - edges[0])
        self.data = np.frombuffer(cells.buffers()[2], np.uint8, size, int(edges[0])) if size else _NOTHING
        self.ends: Offsets = edges[1:] - edges[0]
        self.lengths: Offsets = np.diff(edges)
        self.first: Bytes = self.data.take(self.ends - self.lengths, mode="clip")
        self.last: Bytes = self.data.take(self.ends - 1, mode="clip")

    def rows_of(self, positions: Offsets) -> Integers:
        """The cells that bytes belong to, each once."""
        rows = np.searchsorted(self.ends, positions, "right")
        return rows[np.diff(rows, prepend=-1) > 0]

    def not_plain(self) -> Integers:
        """The cells that are empty, padded, or have anything but visible ASCII and spaces."""
        found = [np.flatnonzero(self.lengths == 0)]
        low, high = int(self.data.min()), int(self.data.max())
        if low <= _SPACE:
            found.append(np.flatnonzero((self.first <= _SPACE) | (self.last <= _SPACE)))
        if low < _SPACE or high > _LAST_VISIBLE:
            odd = (self.data < _SPACE) | (self.data > _LAST_VISIBLE)
            found.append(self.rows_of(np.flatnonzero(odd)))
        return np.unique(np.concatenate(found)).astype(np.int64)

    def digits_alone(self) -> Mask:
        """Which cells are digits and nothing else: MAX_DIGITS at most, and one at least."""
        numbers = _DIGIT.take(self.first) & _DIGIT.take(self.last)
        numbers &= (self.lengths > 0) & (self.lengths <= MAX_DIGITS)
        if numbers.any():
            others = np.flatnonzero(self.data - np.uint8(ord("0")) > 9)
            if len(others) > len(numbers) // 8:
                maybe = np.flatnonzero(numbers)
                texts = self.cells.take(pa.array(maybe))
                numbers[maybe] = pc.match_substring_regex(texts, "^[0-9]+$").to_numpy(zero_copy_only=False)
            else:
                numbers[np.searchsorted(self.ends, others, "right")] = False
        return numbers

    def picked(self, mask: Mask) -> tuple[Integers, list[bytes]]:
        """Some cells, and where they are."""
        rows = np.flatnonzero(mask)
        return rows, self.cells.take(pa.array(rows)).to_pylist() if len(rows) else []
