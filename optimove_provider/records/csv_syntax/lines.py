"""The physical lines of a stream: those of the record that is read, and those that were looked at beyond it."""

import codecs
import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from optimove_provider.records.csv_syntax.grammar import MAX_RECORD_BYTES, Fault
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.findings import file_rules

_UNDECODABLE = re.compile("[\udc80-\udcff]")


class Line(NamedTuple):
    """A line with its end, undecodable bytes as surrogate escapes."""

    text: str
    size: int  # bytes, with those beyond the cap
    bad: int | None  # offset of the first byte that is not UTF-8
    whole: bool
    quoted: bool  # whether it is not whole, and has quotes


class Lines:
    """Hands out lines for one record after the other; `taken` are those of the record, which starts on the physical
    line `line`, at the offset `byte`, and has `size` bytes so far."""

    def __init__(self, stream: LookaheadStream, line: int, byte: int) -> None:
        self._stream = stream
        self._again: deque[Line] = deque()
        self._given = 0
        self.size = 0
        self.taken: list[Line] = []
        self.line, self.byte = line, byte
        self.bom = False

    @property
    def next(self) -> int:
        """The number of the line after those that were taken."""
        return self.line + len(self.taken)

    def begin(self) -> bool:
        """Start a record where the last one ended, and take its first line; False if there is none."""
        self.line += len(self.taken)
        self.byte += self.size
        self.taken, self.size, self._given = [], 0, 0
        return self.take()

    def take(self) -> bool:
        """Take one more line, unless the stream is over."""
        line = self._again.popleft() if self._again else self._read()
        if line is None:
            return False
        self.taken.append(line)
        self.size += line.size
        return True

    def at(self, number: int) -> Line | None:
        """The line of this number, which was not taken, and may not have been read before; None after the last one."""
        index = number - self.next
        while index >= len(self._again):
            line = self._read()
            if line is None:
                return None
            self._again.append(line)
        return self._again[index]

    def give_back(self, keep: int) -> None:
        """End the record after its first `keep` lines; the others will be handed out again."""
        self._again.extendleft(reversed(self.taken[keep:]))
        del self.taken[keep:]
        self.size = sum(line.size for line in self.taken)

    @property
    def text(self) -> str:
        """The lines that were taken."""
        return "".join([line.text for line in self.taken])

    @property
    def rest(self) -> bytes | None:
        """The bytes of the lines that were looked at beyond the record; None if one of them is too long to be had
        again."""
        if all(line.whole for line in self._again):
            return "".join([line.text for line in self._again]).encode(errors="surrogateescape")
        return None

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        """The lines that were taken, one by one: for the csv module."""
        if self._given == len(self.taken):
            raise StopIteration
        self._given += 1
        return self.taken[self._given - 1].text

    def _read(self) -> Line | None:
        line = read_line(self._stream)
        if line and self.byte == 0 and not (self.taken or self._again) and line.text.startswith("\ufeff"):
            self.bom, line = True, line._replace(text=line.text[1:])
        return line


def read_line(stream: LookaheadStream) -> Line | None:
    """The next physical line, of which no more is kept than a record may have; None after the last one."""
    raw = stream.readline(MAX_RECORD_BYTES + 1)
    if not raw:
        return None
    size, rest, quoted = len(raw), raw, b'"' in raw
    while size > MAX_RECORD_BYTES and rest and not rest.endswith(b"\n"):
        rest = stream.readline(MAX_RECORD_BYTES)
        size += len(rest)
        quoted = quoted or b'"' in rest
    text, bad = _decode(raw)
    whole = size == len(raw) <= MAX_RECORD_BYTES
    return Line(text, size, bad if whole else None, whole, quoted and not whole)


def _decode(raw: bytes) -> tuple[str, int | None]:
    try:
        return raw.decode(), None
    except UnicodeDecodeError as error:
        return raw.decode(errors="surrogateescape"), error.start


def not_utf8(lines: Sequence[Line], start: int, cells: Sequence[str]) -> list[Fault]:
    """What is not UTF-8 in a record, given its lines, the first of which is at this offset, and its cells."""
    for line in lines:
        if line.bad is not None:
            where = f"the first such byte of this record is at offset {start + line.bad}"
            message = f"not UTF-8{_looks_like(line.text, start)}: {where}"
            bad = [i for i, cell in enumerate(cells) if _UNDECODABLE.search(cell)]
            return [Fault(file_rules.ENCODING.name, i, cells[i], message) for i in bad] or [
                Fault(file_rules.ENCODING.name, None, line.text, message)
            ]
        start += line.size
    return []


def _looks_like(text: str, byte: int) -> str:
    """Name the encoding of a line that is not UTF-8, where it can be recognised."""
    raw = text.encode(errors="surrogateescape")
    if byte <= 2 and raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return f" but UTF-32, as its byte order mark says ({_AS_UTF16.replace('16', '32')})"
    if byte == 0 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return f" but UTF-16, as its byte order mark says ({_AS_UTF16})"
    strange = [byte for byte in raw if byte > 0x7F]
    letters = bytes(byte for byte in strange if byte not in _OF_CP1252).decode("cp1252", "replace")
    if letters and not letters.isalpha():
        return ""
    is_latin = min(strange) >= 0xA0
    return f", it looks like {'Latin-1 or cp1252' if is_latin else 'cp1252, which Windows writes'} ({_AS_CP1252})"


_OF_CP1252 = bytes.fromhex("80 82 84 85 91 92 93 94 95 96 97 99 a0 a3 a7 a9 ab ae b0 b2 b3 b4 b7 bb bd")
"""The euro, quotes, dashes, signs: what texts have besides letters."""
_AS_CP1252 = "save it as UTF-8; `validate --encoding cp1252` reads it"
_AS_UTF16 = "save it as UTF-8; `validate --encoding utf-16` reads it"
