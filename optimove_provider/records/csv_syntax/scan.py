"""One pass over CSV text: blocks of regular text as they are, and record by record where the text is odd."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from optimove_provider.records.arrow.types import Integers
from optimove_provider.records.csv_syntax.blocks import RegularPart, regular_part
from optimove_provider.records.csv_syntax.certainty import Certainty
from optimove_provider.records.csv_syntax.locations import Location, Locations
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import Record, RecordReader

LONGEST_EXACT_RUN = 4096
"""So many regular records in a row, at most, are read exactly before a block is tried again."""


@dataclass(frozen=True, slots=True)
class RegularBlock:
    """Bytes that begin with a regular part, which is not empty, and where its first record starts."""

    start: Location
    text: bytes
    part: RegularPart

    @property
    def rows(self) -> int:
        """How many records the part has; none of them is a blank line."""
        return len(self.part.ends)

    def location(self, record: int) -> Location:
        """Where a record (from 0) of the part starts."""
        start, part = self.start, self.part
        return Location(start.row + record, start.line + part.line(record), start.byte + part.start(record))

    def locations(self, records: Integers) -> Locations:
        """Where many records (from 0) start: asked one by one, each would wait for other threads."""
        starts = np.append(0, self.part.ends)[records]
        lines = self.start.line + np.searchsorted(self.part.newlines, starts)
        return Locations(self.start.row + records, lines, self.start.byte + starts)

    @property
    def end(self) -> Location:
        """Where the next record starts."""
        start, part = self.start, self.part
        return Location(start.row + self.rows, start.line + part.lines, start.byte + part.size)

    def between(self, first: int, last: int) -> bytes:
        """The text of the records from one on, up to another."""
        return self.text[self.part.start(first) : self.part.start(last)]


def scan(
    stream: LookaheadStream, delimiter: str, width: int | None, start: Location, block_bytes: int
) -> Iterator[RegularBlock | Record]:
    """Yield all text of `stream` from `start` on, in its order, `block_bytes` at a time.

    What comes record by record may be odd, a blank line, or regular: after something odd, so many records are read
    exactly as make a run, and the run doubles while the text stays odd. `width` is the number of cells of a row, None
    if that is not known. Nothing else may read from `stream` meanwhile.
    """
    size, run, certainty = block_bytes, 1, Certainty(delimiter)
    while text := stream.look(size):
        part = regular_part(text, delimiter, stream.is_last(text), spaced=True)
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
