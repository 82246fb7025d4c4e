"""The plain way to read records: each one to its end by the csv module, and what belongs to the next ones once more."""

import csv
from collections import deque
from collections.abc import Iterator
from io import BytesIO

from optimove_provider.records.csv_syntax.grammar import MAX_RECORD_BYTES, NUL_MESSAGE, Fault, Grammar
from optimove_provider.records.csv_syntax.lines import Line, not_utf8, read_line
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import Record
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import ERROR


class _TooLong(Exception):
    pass


class Lines:
    """Physical lines for csv.reader, which asks for one more only while a record is open."""

    def __init__(self, stream: "LookaheadStream", line: int, byte: int) -> None:
        self._stream = stream
        self._again: deque[Line] = deque()
        self.size = 0
        self.taken: list[Line] = []
        self.line, self.byte = line, byte
        self.bom = self.ended = False

    def begin(self) -> None:
        """Start a record where the last one ended."""
        self.line += len(self.taken)
        self.byte += self.size
        self.taken, self.size, self.ended = [], 0, False

    def give_back(self, keep: int) -> None:
        """End the record after its first `keep` lines; the others will be handed out again."""
        self._again.extendleft(reversed(self.taken[keep:]))
        del self.taken[keep:]
        self.size = sum(line.size for line in self.taken)

    @property
    def rest(self) -> bytes | None:
        """The bytes of the lines that were given back; None if one of them is too long to be had again."""
        if all(line.whole for line in self._again):
            return "".join([line.text for line in self._again]).encode(errors="surrogateescape")
        return None

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        self.size += line.size
        if self.size > MAX_RECORD_BYTES:
            raise _TooLong(f"longer than {MAX_RECORD_BYTES} bytes")
        return line.text

    def _read(self) -> Line | None:
        line = read_line(self._stream)
        if line and self.byte == 0 and not self.taken and line.text.startswith("\ufeff"):
            self.bom, line = True, line._replace(text=line.text[1:])
        return line


def one_record(text: bytes, delimiter: str, line: int, byte: int) -> Record:
    """The record that these bytes are."""
    return next(iter(RecordReader(LookaheadStream(BytesIO(text)), delimiter, line, byte)))


class RecordReader:
    """Iterates over the records of a binary stream of CSV text.

    Set `width`, the number of cells that a row should have, once the header is known; without it a record with
    broken quoting ends at the line of its fault.
    """

    def __init__(self, stream: "LookaheadStream", delimiter: str = ",", line: int = 1, byte: int = 0) -> None:
        self._lines = Lines(stream, line, byte)
        # Only a quoted cell may have spaces before it: of others, the grammar knows that they are part of the value.
        self._reader = csv.reader(self._lines, delimiter=delimiter, skipinitialspace=True)
        self._grammar, self._delimiter = Grammar(delimiter), delimiter
        self.width: int | None = None

    @property
    def byte(self) -> int:
        """The offset after the last record handed out, byte order mark and line ends included."""
        return self._lines.byte + self._lines.size

    @property
    def line(self) -> int:
        """The physical line after the last record handed out."""
        return self._lines.line + len(self._lines.taken)

    @property
    def rest(self) -> bytes | None:
        """Bytes that were read and belong to no record yet; None if they cannot be had again."""
        return self._lines.rest

    @property
    def has_bom(self) -> bool:
        """Whether the stream started with a byte order mark, which is no part of the first record's text."""
        return self._lines.bom

    def __iter__(self) -> Iterator[Record]:
        lines = self._lines
        while True:
            lines.begin()
            cells, complaint = [], ""
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except (csv.Error, _TooLong) as error:
                complaint = str(error)
            record = self._record(cells, complaint)
            if record.text:  # a file of a byte order mark alone has no record
                yield record

    def _record(self, cells: list[str], complaint: str) -> Record:
        """Judge what was taken for one record; `complaint` is why the csv module gave it up, if it did."""
        lines = self._lines
        text = "".join([line.text for line in lines.taken])
        faults, keep = self._structure(text, complaint)
        broken = any(fault.severity == ERROR for fault in faults)
        if broken and keep < len(lines.taken) and (complaint or lines.ended or self._is_row(keep)):
            lines.give_back(keep)
            text, cells = "".join([line.text for line in lines.taken]), []
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

    def _with_spaces(self, text: str, cells: list[str]) -> list[str]:
        """The cells with the spaces before those that have no quotes."""
        if not (text.startswith(" ") or f"{self._delimiter} " in text):
            return cells
        return [span.value for span in self._grammar.spans(text)]

    def _is_row(self, index: int) -> bool:
        """Whether a line that was read into a broken record would be a row by itself."""
        return self.width is None or self._grammar.count(self._lines.taken[index].text) == self.width

    def _structure(self, text: str, complaint: str) -> tuple[list[Fault], int]:
        """Find what breaks the record, and how many of its lines belong to it if it has no end."""
        faults, position = self._grammar.faults(text, self._lines.line, self._lines.ended)
        if not self._lines.taken[0].whole:
            # Lines that end with CR alone are one line, however many they are.
            returns = [one for one in faults if one.rule == file_rules.BARE_CR.name]
            return returns or [Fault(file_rules.TOO_LONG.name, None, text, f"the line is {complaint}")], 1
        if complaint and not faults:
            faults, position = [Fault(file_rules.TOO_LONG.name, None, text, f"unreadable: {complaint}")], len(text) - 1
        return faults, text.count("\n", 0, position) + 1
