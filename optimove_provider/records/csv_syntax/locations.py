"""Where records start: row, line, byte."""

from dataclasses import dataclass

from optimove_provider.records.arrow.types import Integers, Offsets


@dataclass(frozen=True, slots=True)
class Location:
    """Where a record starts: its data row (from 1; a blank line has that of the next), its physical line (from 1), its
    offset in bytes."""

    row: int
    line: int
    byte: int


@dataclass(frozen=True, slots=True)
class Locations:
    """The locations of some records, in three arrays of one length."""

    rows: Integers
    lines: Integers
    bytes: Offsets
