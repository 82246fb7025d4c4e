"""Where a record starts: row, line, byte."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Places:
    """Where each of some records starts: its data row (from 1), its physical line (from 1), its offset in bytes."""

    rows: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record starts: the rows before it, its physical line (from 1), its offset."""

    rows: int
    line: int
    byte: int
