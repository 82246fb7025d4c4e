"""What looks at whole columns while a file is checked, and speaks at the end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.contract.datatypes import Attribute
from optimove_provider.records.findings import Finding


@dataclass(frozen=True, slots=True)
class Places:
    """Where each of some records starts: its data row (from 1), its physical line (from 1), its offset in bytes."""

    rows: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]


class Watch(Protocol):
    """Sees every cell of one column, some thousands at a time and in the order of the file; rows that could not be read
    are left out. Its memory must not grow with the file."""

    column: int

    def see(self, places: Places, cells: pa.BinaryArray) -> None:
        """Look at the next cells."""
        ...

    def counts(self) -> Iterable[tuple[str, int]]:
        """How many findings of each rule there are, after the last row."""
        ...

    def findings(self) -> Iterator[Finding]:
        """What was seen, after the last row."""
        ...


Watchers = Callable[[Sequence[str], Sequence[Attribute]], Sequence[Watch]]
"""Given the names in the header and the attributes: who watches which column."""


def nobody(names: Sequence[str], attributes: Sequence[Attribute]) -> Sequence[Watch]:
    """Nobody watches."""
    return ()
