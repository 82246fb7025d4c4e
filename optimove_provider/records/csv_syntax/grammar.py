"""What RFC 4180 allows, and the faults of a record's text."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import ERROR

MAX_RECORD_BYTES = 1 << 20
"""Ours: the vendor states no limit. One record, and so also one physical line."""
MAX_CELL_CHARACTERS = 131_072
"""Ours: where the csv module stops by default. Its limit is one for the whole process, so we leave it."""


class Fault(NamedTuple):
    """Something wrong with a record; `cell` is the index (from 0) of the cell it is in, if it is in one."""

    rule: str
    cell: int | None
    value: str
    message: str
    severity: str = ERROR


REPEATED = "the header once more: put files together without the headers of all but the first"
DOUBT = "this may be a part of the cell that is broken on line {line}: where that record ends is not certain; mend it"
NUL_MESSAGE = "a NUL character: no reader agrees with another about it"
_SPACE = (
    "a space before an opening quote, as in the vendor's own sample row: common readers take the quotes for a part of "
    "the value, and an import writes the cell without the space"
)
_BARE_CR = "a carriage return without a line feed: end lines with LF or CRLF"
_BARE_QUOTE = "a double quote in a cell that is not quoted: quote the cell and double the quote"
_TEXT_AFTER = "text after a closing quote: a double quote that is part of a value must be doubled"


_SPACED_QUOTE = re.compile(' ++"')
_SPACE_AND_LINES = (
    "a space before an opening quote, and a line end within the quotes: readers disagree where the row ends"
)


class Span(NamedTuple):
    """Where a cell stands in the text of its record, spaces before its quotes included, and its value."""

    start: int
    end: int
    value: str
    spaced: bool


def spaced_fault(cell: int, value: str) -> Fault:
    """What is to be said of a cell with spaces before its quotes."""
    return Fault(file_rules.QUOTE_SPACE.name, cell, value, _SPACE, file_rules.QUOTE_SPACE.severity)


class Grammar:
    """What RFC 4180 allows as a cell and, to go on after it, a quoted cell with spaces before it."""

    def __init__(self, delimiter: str) -> None:
        plain = rf'[^"{re.escape(delimiter)}\r\n]*+'
        quoted = r'"[^"]*+(?:""[^"]*+)*+"'
        self._delimiter = delimiter
        self._plain, self._quoted = re.compile(plain), re.compile(quoted)
        self._unclosed = re.compile(r' *+"[^"]*+(?:""[^"]*+)*+\Z')
        self._cell = re.compile(
            rf"(?P<cell>{quoted}|(?P<spaced> ++{quoted})|{plain})(?P<end>{re.escape(delimiter)}|\r?\n|\Z)"
        )

    def faults(self, text: str, first_line: int, ended: bool) -> tuple[list[Fault], int]:
        """Find the faults of one record, and the offset of the last: what comes after it is guesswork.

        `ended` says that nothing follows it in the file.
        """
        unquoted = '"' not in text and text.count("\r") == text.endswith("\r\n")
        if unquoted and len(text) <= MAX_CELL_CHARACTERS:
            return [], 0
        faults, index, position = list[Fault](), 0, 0
        while found := self._cell.match(text, position):
            if found["spaced"] and "\n" in found["spaced"]:
                return [*faults, Fault(file_rules.QUOTE_SPACE.name, index, text[position:], _SPACE_AND_LINES)], position
            if found["spaced"]:
                faults.append(spaced_fault(index, found["spaced"]))
            if len(found[0]) > MAX_CELL_CHARACTERS:
                message = f"the cell is longer than {MAX_CELL_CHARACTERS} characters"
                faults.append(Fault(file_rules.TOO_LONG.name, index, found[0], message))
            if found["end"] != self._delimiter:
                return faults, position
            position, index = found.end(), index + 1
        rule, message = self._stopped(text, position, first_line, ended)
        return [*faults, Fault(rule, index, text[position:], message)], position

    def stop(self, text: str) -> tuple[int, bool | None]:
        """Where the last cell starts, or the first wrong one, of the beginning of a record; and whether it is right:
        None if it is quoted, and not closed in this text."""
        position = 0
        while found := self._cell.match(text, position):
            if "\n" in (found["spaced"] or ""):
                return position, False
            if found["end"] != self._delimiter:
                return position, True
            position = found.end()
        return position, None if self._unclosed.match(text, position) else False

    def spans(self, text: str) -> Iterator[Span]:
        """The cells of a record that is not broken."""
        position = 0
        while found := self._cell.match(text, position):
            start, end = found.span("cell")
            bare = found["cell"].lstrip(" ") if found["spaced"] else found["cell"]
            value = bare[1:-1].replace('""', '"') if bare.startswith('"') else bare
            yield Span(start, end, value, bool(found["spaced"]))
            position = found.end()
            if found["end"] != self._delimiter:
                return

    def count(self, text: str) -> int:
        """Count the cells of a line that is a whole record; 0 if it is none."""
        cells = position = 0
        while found := self._cell.match(text, position):
            cells, position = cells + 1, found.end()
            if found["end"] != self._delimiter:
                return cells
        return 0

    def _stopped(self, text: str, position: int, first_line: int, ended: bool) -> tuple[str, str]:
        """Say why no cell could be read at `position`."""
        if bare := _SPACED_QUOTE.match(text, position):
            position = bare.end() - 1
        if text[position] == '"':
            opened = first_line + text.count("\n", 0, position)
            if quoted := self._quoted.match(text, position):
                or_else = f"; or the quote opened on line {opened} is not closed" if "\n" in quoted[0] else ""
                return file_rules.QUOTE.name, _TEXT_AFTER + or_else
            limits = f"within {MAX_CELL_CHARACTERS} characters, or its record is longer than {MAX_RECORD_BYTES} bytes"
            where = "before the end of the file" if ended else limits
            return file_rules.QUOTE.name, f"a quote opened on line {opened} is not closed {where}"
        plain = self._plain.match(text, position)
        start = plain.end() if plain else position
        if text[start] == "\r":
            return file_rules.BARE_CR.name, _BARE_CR
        return file_rules.QUOTE.name, _BARE_QUOTE


SEPARATORS = ";\t|,"
_NAMES = {"\t": "a tab", ";": "';'", "|": "'|'", ",": "','"}


def other_separator(text: str, delimiter: str, cells: list[str]) -> str | None:
    """What separates the names of a header that was read as one cell, or that cannot be read; None if nothing does."""
    if len(cells) > 1:
        return None
    counts = {one: Grammar(one).count(text.lstrip("\ufeff")) for one in SEPARATORS if one != delimiter}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] > 1 else None


def separator_message(separator: str) -> str:
    """What to do about a file with another separator than its name says."""
    option = "tab" if separator == "\t" else separator
    return (
        f"the header is one cell, and {_NAMES[separator]} seems to separate its names: write the file with commas, or "
        f"with tabs as .tsv; `validate --delimiter '{option}'` reads it as it is"
    )
