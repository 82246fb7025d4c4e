"""Where a record starts: row, line, byte."""

from dataclasses import dataclass

from optimove_provider.records.arrow.types import Integers, Offsets


@dataclass(frozen=True, slots=True)
class Places:
    """Where each of some records starts: its data row (from 1), its physical line (from 1), its offset in bytes."""

    rows: Integers
    lines: Integers
    bytes: Offsets


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record starts: the rows before it, its physical line (from 1), its offset."""

    rows: int
    line: int
    byte: int
