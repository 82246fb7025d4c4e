"""CSV text as records: where each one starts, what its cells are, and what is wrong with the text itself.

The csv module cuts records and cells as most readers do. But it reads past broken quoting in silence or, when
strict, stops in the middle of a record; so a regular expression with the grammar of RFC 4180 says where
quoting is wrong. A quote that was not closed would swallow the rows up to the next one, or up to the end: where
the line after it reads as a row, the record ends at the line of its fault, and reading goes on from there.

Memory is bounded by `MAX_RECORD_BYTES`, whatever the stream holds.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from optimove_provider.records.csv_syntax.course import Course
from optimove_provider.records.csv_syntax.grammar import MAX_RECORD_BYTES, NUL_MESSAGE, Fault, Grammar
from optimove_provider.records.csv_syntax.lines import Lines, not_utf8
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import ERROR, MAX_VALUE_CHARACTERS


@dataclass(slots=True)
class Record:
    """One record. `broken`: its cells are not to be trusted. A blank line has no cells and is not broken. Of a quoted
    cell with spaces before it, which is no more than a warning, `cells` has what is in the quotes.

    `line` is the physical line (from 1) and `byte` the offset where it starts; `text` is as it stands, with
    line ends, and with undecodable bytes as surrogate escapes. `is_cut`: it is too long to be kept, and has quotes.
    `doubt` is the line of a broken record of which this may be a part, or 0: see `certainty`.
    """

    line: int
    byte: int
    text: str
    cells: list[str]
    faults: list[Fault]
    broken: bool
    is_cut: bool = False
    doubt: int = 0

    @property
    def errors(self) -> list[Fault]:
        """The faults of its text that are no mere warnings."""
        return [fault for fault in self.faults if fault.severity == ERROR]

    @property
    def is_blank(self) -> bool:
        """Whether it is a blank line, which is no row."""
        return not self.cells and not self.broken

    @property
    def ends_with_crlf(self) -> bool | None:
        """Whether it ends with CR and LF, or with LF alone; None at the end of a file that has neither."""
        return self.text.endswith("\r\n") if self.text.endswith("\n") else None

    @property
    def raw_cells(self) -> list[bytes]:
        """The cells as they stand in the file, without their quotes."""
        return [cell.encode(errors="surrogateescape") for cell in self.cells]

    @property
    def raw(self) -> bytes:
        """The text as it stands in the file."""
        return self.text.encode(errors="surrogateescape")


_TOO_LONG = f"longer than {MAX_RECORD_BYTES} bytes"


@dataclass(slots=True)
class _Extent:
    """How far the csv module reads a record: to the end of what was taken, or beyond it (`goes_on`). There it stops
    because it has a record's `cells`, at the end of the file (`ended`), or with a `complaint`."""

    cells: list[str]
    complaint: str = ""
    ended: bool = False
    goes_on: bool = False


def one_record(text: bytes, delimiter: str, line: int, byte: int) -> Record:
    """The record that these bytes are."""
    return next(iter(RecordReader(LookaheadStream(BytesIO(text)), delimiter, line, byte)))


class RecordReader:
    """Iterates over the records of a binary stream of CSV text.

    Set `width`, the number of cells that a row should have, once the header is known; without it a record with
    broken quoting ends at the line of its fault.
    """

    def __init__(self, stream: LookaheadStream, delimiter: str = ",", line: int = 1, byte: int = 0) -> None:
        self._lines = Lines(stream, line, byte)
        # Only a quoted cell may have spaces before it: of others, the grammar knows that they are part of the value.
        self._reader = csv.reader(self._lines, delimiter=delimiter, skipinitialspace=True)
        self._grammar, self._course, self._delimiter = Grammar(delimiter), Course(delimiter), delimiter
        self.width: int | None = None

    @property
    def byte(self) -> int:
        """The offset after the last record handed out, byte order mark and line ends included."""
        return self._lines.byte + self._lines.size

    @property
    def line(self) -> int:
        """The physical line after the last record handed out."""
        return self._lines.next

    @property
    def rest(self) -> bytes | None:
        """Bytes that were read and belong to no record yet; None if they cannot be had again."""
        return self._lines.rest

    @property
    def has_bom(self) -> bool:
        """Whether the stream started with a byte order mark, which is no part of the first record's text."""
        return self._lines.bom

    def __iter__(self) -> Iterator[Record]:
        while self._lines.begin():
            record = self._record()
            if record.text:  # a file of a byte order mark alone has no record
                yield record

    def _record(self) -> Record:
        """Read the record that starts with the line that was taken, and judge it."""
        lines = self._lines
        extent = self._extent()
        faults, keep = self._structure(extent)
        broken = bool(faults) and any(fault.severity == ERROR for fault in faults)
        if broken and (extent.goes_on or keep < len(lines.taken)) and self._is_given_up(extent, keep):
            lines.give_back(keep)
            extent.cells = []
        elif extent.goes_on:
            while lines.next < self._course.next:
                lines.take()
            self._with_cells(extent)
        text, cells = lines.text, extent.cells
        is_cut = any(line.quoted for line in lines.taken)
        if cells and not broken and " " in text:
            cells = self._with_spaces(text, cells)
        record = Record(lines.line, lines.byte, text, cells, faults, broken, is_cut)
        record.faults += not_utf8(self._lines.taken, self._lines.byte, cells)
        if "\0" in text:
            record.faults += [
                Fault(file_rules.NUL.name, i, cell, NUL_MESSAGE) for i, cell in enumerate(cells) if "\0" in cell
            ]
        return record

    def _extent(self) -> _Extent:
        """Take the lines that the csv module would read as one record, or fewer, if its quoting is broken before."""
        lines, course = self._lines, self._course
        if lines.size > MAX_RECORD_BYTES:
            return _Extent([], _TOO_LONG)
        extent = self._open_extent() if course.begin(lines) else _Extent([])
        return extent if extent.complaint or extent.goes_on else self._with_cells(extent)

    def _with_cells(self, extent: _Extent) -> _Extent:
        try:
            extent.cells = next(self._reader)
        except csv.Error as error:
            extent.complaint = str(error)
        return extent

    def _open_extent(self) -> _Extent:
        """Take the lines of a record that goes on after its first one."""
        lines, course = self._lines, self._course
        position, is_right = self._grammar.stop(lines.text)
        pieces = [lines.text[position:]]
        while is_right is None:
            if not course.reaches(lines.next, lines):
                return _Extent([], course.complaint, course.over)
            lines.take()
            text = lines.taken[-1].text
            if lines.size > MAX_RECORD_BYTES:
                return _Extent([], _TOO_LONG)
            pieces.append(text)
            if course.closing(text) < len(text):
                whole = "".join(pieces)
                position, is_right = self._grammar.stop(whole)
                pieces = [whole[position:]]
        if course.reaches(lines.next, lines):
            return _Extent([], goes_on=True)
        return _Extent([], course.complaint, course.over)

    def _is_given_up(self, extent: _Extent, keep: int) -> bool:
        """Whether a broken record ends after its first `keep` lines: a row follows, or it has no other end."""
        if extent.complaint or extent.ended or self._is_row(keep):
            return True
        return extent.goes_on and not self._course.closes(self._lines, self._lines.byte + MAX_RECORD_BYTES)

    def _with_spaces(self, text: str, cells: list[str]) -> list[str]:
        """The cells with the spaces before those that have no quotes."""
        if not (text.startswith(" ") or f"{self._delimiter} " in text):
            return cells
        return [span.value for span in self._grammar.spans(text)]

    def _is_row(self, index: int) -> bool:
        """Whether a line that was read into a broken record, or follows it, would be a row by itself."""
        if self.width is None:
            return True
        taken = self._lines.taken
        line = taken[index] if index < len(taken) else self._lines.at(self._lines.next)
        return line is not None and self._grammar.count(line.text) == self.width

    def _structure(self, extent: _Extent) -> tuple[list[Fault], int]:
        """Find what breaks the record, and how many of its lines belong to it if it has no end."""
        lines, text = self._lines, self._lines.text
        if extent.goes_on:
            text += self._beyond()
        faults, position = self._grammar.faults(text, lines.line, extent.ended)
        if not lines.taken[0].whole:
            # Lines that end with CR alone are one line, however many they are.
            returns = [one for one in faults if one.rule == file_rules.BARE_CR.name]
            return returns or [Fault(file_rules.TOO_LONG.name, None, text, f"the line is {extent.complaint}")], 1
        if extent.complaint and not faults:
            message = f"unreadable: {extent.complaint}"
            faults, position = [Fault(file_rules.TOO_LONG.name, None, text, message)], len(text) - 1
        return faults, text.count("\n", 0, position) + 1

    def _beyond(self) -> str:
        """As much of what the csv module would read beyond the lines that were taken as a finding shows."""
        lines, text, size = self._lines, "", self._lines.size
        number = lines.next
        while len(text) < MAX_VALUE_CHARACTERS and size <= MAX_RECORD_BYTES and self._course.reaches(number, lines):
            if line := lines.at(number):
                text, size, number = text + line.text[:MAX_VALUE_CHARACTERS], size + line.size, number + 1
        return text
