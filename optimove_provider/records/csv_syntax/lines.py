"""The physical lines of a stream: those of the record that is read, and those that were looked at beyond it."""

from collections import deque
from typing import NamedTuple

from optimove_provider.records.csv_syntax.grammar import MAX_RECORD_BYTES
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream


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
        raw = self._stream.readline(MAX_RECORD_BYTES + 1)
        if not raw:
            return None
        size, rest, quoted = len(raw), raw, b'"' in raw
        while size > MAX_RECORD_BYTES and rest and not rest.endswith(b"\n"):
            rest = self._stream.readline(MAX_RECORD_BYTES)
            size += len(rest)
            quoted = quoted or b'"' in rest
        text, bad = _decode(raw)
        if self.byte == 0 and not (self.taken or self._again) and text.startswith("\ufeff"):
            self.bom, text = True, text[1:]
        whole = size == len(raw) <= MAX_RECORD_BYTES
        return Line(text, size, bad if whole else None, whole, quoted and not whole)


def _decode(raw: bytes) -> tuple[str, int | None]:
    try:
        return raw.decode(), None
    except UnicodeDecodeError as error:
        return raw.decode(errors="surrogateescape"), error.start
