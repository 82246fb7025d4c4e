"""One pass over CSV text: blocks of regular text as they are, and record by record where the text is odd."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from optimove_provider.records.arrow.types import Integers, Offsets
from optimove_provider.records.csv_syntax.blocks import RegularPart, regular_part
from optimove_provider.records.csv_syntax.certainty import Certainty
from optimove_provider.records.csv_syntax.locations import Location, Locations
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import Record, RecordReader

LONGEST_EXACT_RUN = 4096
"""So many regular records in a row, at most, are read exactly before a block is tried again."""

MAX_MARKS = 1 << 20
"""A block of more line feeds and quotes is cut into smaller ones."""

MANY_COLUMNS = 1 << 13
"""Text of more columns comes in larger blocks: each column costs as much in a block of few rows as in one of many."""


@dataclass(frozen=True, slots=True)
class RegularBlock:
    """Bytes that begin with a regular part, which is not empty, and where that starts."""

    start: Location
    text: bytes
    part: RegularPart

    @property
    def rows(self) -> int:
        """How many records the part has; blank lines are none."""
        return len(self.part.ends)

    def location(self, record: int) -> Location:
        """Where a record (from 0) of the part starts."""
        at = self.locations(np.array([record]))
        return Location(int(at.rows[0]), int(at.lines[0]), int(at.bytes[0]))

    def locations(self, records: Integers) -> Locations:
        """Where many records (from 0) start: asked one by one, each would wait for other threads."""
        starts = self.part.starts[records]
        return Locations(self.start.row + records, *self._places(starts))

    def blanks(self, most: int) -> tuple[Integers, Locations]:
        """The first blank lines, at most so many: the record (from 0) that comes after each, and where they are."""
        starts = self.part.blanks[:most, 0]
        records = np.searchsorted(self.part.starts, starts)
        return records, Locations(np.zeros_like(records), *self._places(starts))

    def _places(self, offsets: Offsets) -> tuple[Integers, Offsets]:
        return self.start.line + self.part.lines_before(offsets), self.start.byte + offsets

    @property
    def end(self) -> Location:
        """Where the next record starts."""
        lines, bytes_ = self._places(np.array([self.part.size]))
        return Location(self.start.row + self.rows, int(lines[0]), int(bytes_[0]))

    def between(self, first: int, last: int) -> bytes:
        """The text of the records from one on, up to another."""
        return self.part.records(self.text, first, last)


def enough_bytes(block_bytes: int, width: int | None) -> int:
    """How many bytes of rows of so many cells to take at once, where `block_bytes` are enough if these are few."""
    return block_bytes * (1 + (width or 0) // MANY_COLUMNS)


def scan(
    stream: LookaheadStream, delimiter: str, width: int | None, start: Location, block_bytes: int
) -> Iterator[RegularBlock | Record]:
    """Yield all text of `stream` from `start` on, in its order, `block_bytes` at a time, or more for many columns.

    What comes record by record may be odd, a blank line, or regular: after something odd, so many records are read
    exactly as make a run, and the run doubles while the text stays odd. `width` is the number of cells of a row, None
    if that is not known. Nothing else may read from `stream` meanwhile.
    """
    block_bytes = enough_bytes(block_bytes, width)
    size, run, certainty = block_bytes, 1, Certainty(delimiter)
    while text := stream.look(size):
        part = regular_part(text, delimiter, stream.is_last(text), spaced=True, most_marks=MAX_MARKS)
        if part.size:
            block = RegularBlock(start, text, part)
            stream.skip(part.size)
            start = block.end
            yield block
        run = 1 if part.size > block_bytes // 2 else min(run * 2, LONGEST_EXACT_RUN)
        if part.odd:
            start = yield from _exactly(stream, delimiter, width, start, run, certainty)
        size = block_bytes if part.size or part.odd else 2 * len(text)


def _exactly(
    stream: LookaheadStream, delimiter: str, width: int | None, start: Location, run: int, certainty: Certainty
) -> Generator[Record, None, Location]:
    """Read an odd record, and on until `run` records in a row were regular, and it is certain that the last one ended;
    returns where the next one starts."""
    records = RecordReader(stream, delimiter, start.line, start.byte)
    records.width = width
    row, regular = start.row, 0
    for record in records:
        certainty.take(record)
        yield record
        row += not record.is_blank
        regular = 0 if record.is_blank or record.errors else regular + 1
        if regular >= run and not certainty.is_lost and records.rest is not None:  # the rest may be all of the file
            break
    stream.push(records.rest or b"")
    return Location(row, records.line, records.byte)
