"""Which rows of a column are looked at where that costs much: whole stretches, of which each stands for others."""

from collections.abc import Iterator

import numpy as np

from optimove_provider.records.arrow.types import Integers

STRETCH = 1 << 16
"""So many rows are looked at, or none of them. They are counted in the file: how it is read is no matter."""
FIRST_STRETCHES, ONE_IN = 4, 8
COSTLY_SHARE = 0.25
"""Where so many of the cells were costly, the first stretches are looked at, and of the others one in ONE_IN."""


class SampledRows:
    """The rows to look at. `weight`: for so many stretches the one of these rows stands: itself, and those before it
    that were left out. `is_sampled`: some were."""

    def __init__(self) -> None:
        self.weight, self.is_sampled = 1, False
        self._stretch, self._left_out, self._is_left_out = -1, 0, False
        self._cells = self._costly = 0

    def parts(self, rows: Integers) -> Iterator[slice]:
        """The parts of some rows, whose numbers rise, to look at. Tell what they `cost` before you go on."""
        start, stretches = 0, (rows - 1) // STRETCH
        while start < len(rows):
            end = int(np.searchsorted(stretches, stretches[start], "right"))
            if self._turn_to(int(stretches[start])):
                yield slice(start, end)
            start = end

    def cost(self, cells: int, costly: int) -> None:
        """So many of the cells were costly."""
        self._cells += cells
        self._costly += costly

    def _turn_to(self, stretch: int) -> bool:
        if stretch != self._stretch:
            is_costly = stretch >= FIRST_STRETCHES and self._costly > COSTLY_SHARE * self._cells
            self._stretch, self._is_left_out = stretch, is_costly and self._left_out < ONE_IN - 1
            if self._is_left_out:
                self._left_out += 1
                self.is_sampled = True
            else:
                self.weight, self._left_out = self._left_out + 1, 0
        return not self._is_left_out
