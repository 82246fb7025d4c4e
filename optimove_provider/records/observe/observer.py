"""The protocol of what sees whole columns while a file is checked, and a buffer for the cells."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings.findings import Finding


class CellBuffer:
    """Collects cells until there are enough to look at: a call may bring a single one, and mostly brings a block's."""

    ENOUGH, ENOUGH_BYTES, ENOUGH_TEXT = 1 << 15, 4 << 20, 32 << 20
    """Cells, their bytes, and the bytes of the file that they are from: what all of its columns hold together."""

    def __init__(self) -> None:
        self._locations: list[Locations] = []
        self._cells: list[pa.BinaryArray] = []
        self._count = self._bytes = 0

    def add(self, locations: Locations, cells: pa.BinaryArray) -> bool:
        """Take some cells, and say whether there are enough now."""
        if not len(cells):
            return False
        self._locations.append(locations)
        self._cells.append(cells)
        self._count += len(cells)
        self._bytes += cells.nbytes
        text = int(locations.bytes[-1] - self._locations[0].bytes[0])
        return self._count >= self.ENOUGH or self._bytes >= self.ENOUGH_BYTES or text >= self.ENOUGH_TEXT

    def take(self) -> tuple[Locations, pa.BinaryArray]:
        """Everything collected since the last call."""
        self._count = self._bytes = 0
        if len(self._cells) == 1:
            return self._locations.pop(), self._cells.pop()
        rows, lines, offsets = (
            np.concatenate([getattr(locations, name) for locations in self._locations] or [np.empty(0, np.int64)])
            for name in ("rows", "lines", "bytes")
        )
        cells = pa.concat_arrays(self._cells or [pa.array([], pa.binary())])
        self._locations, self._cells = [], []
        return Locations(rows, lines, offsets), cells


class ColumnObserver(Protocol):
    """Sees every cell of one column, some thousands at a time and in the order of the file; rows that could not be read
    are left out. Its memory must not grow with the file."""

    column: int

    def see(self, locations: Locations, cells: pa.BinaryArray) -> None:
        """Look at the next cells."""
        ...

    def counts(self) -> Iterable[tuple[str, int]]:
        """How many findings of each rule there are, after the last row."""
        ...

    def findings(self) -> Iterator[Finding]:
        """What was seen, after the last row and in the order of the rows: millions perhaps, so none is held."""
        ...

    def cost(self) -> str:
        """What it needed besides time and memory that do not grow, in a sentence; empty if nothing."""
        ...

    def close(self) -> None:
        """Free what it holds; nothing can be asked after that."""
        ...


ObserverFactory = Callable[[Sequence[str], Sequence[Attribute]], Sequence[ColumnObserver]]
"""Given the names in the header and the attributes: the observers, each of one column."""


def no_observers(names: Sequence[str], attributes: Sequence[Attribute]) -> Sequence[ColumnObserver]:
    """None."""
    return ()
