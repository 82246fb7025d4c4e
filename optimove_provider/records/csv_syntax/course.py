"""How far the csv module would read a record that goes on beyond its line, without reading it anew for each record.

A record goes on where a quoted cell is open at the end of a line. Two readings that both have one open there are in the
same cell, which began at the same quote: to be open for one from its start on and for the other from within a cell, a
run of quotes would have to be of an odd and of an even length. So they go on alike from there, and each line is looked
at once for all of the records that reach it.
"""

import csv
import re

from optimove_provider.records.csv_syntax.grammar import MAX_CELL_CHARACTERS
from optimove_provider.records.csv_syntax.lines import Lines


class Course:
    """Follows the csv module from the end of a line on at which a quoted cell is open.

    `next` is the number of the line that comes next, `byte` the offset at which it starts. `is_open`: it would be read.
    Otherwise the record ends before it: with a `complaint`, or because the file is `over`, or, without either, as a
    record does.
    """

    def __init__(self, delimiter: str) -> None:
        mark = re.escape(delimiter)
        quoted, plain = r'[^"]*+(?:""[^"]*+)*+', rf"[^{mark}\r\n]*+"
        self._delimiter = delimiter
        self._quoted = re.compile(quoted)
        self._opening = re.compile(rf' *+(?:(?:"{quoted}{plain}|(?!"){plain}){mark} *+)*+"(?P<cell>{quoted})\Z')
        self._first = self.next = self.byte = self._cell = 0
        self.complaint, self.is_open, self.over = "", False, False

    def begin(self, lines: Lines) -> bool:
        """Whether the csv module goes on after the line that was taken, from the start of a record."""
        text = lines.taken[0].text
        opening = self._opening.match(text) if '"' in text else None
        if opening is None or (len(text) > MAX_CELL_CHARACTERS and self._cells(text)[1]):
            return False
        if not (self._first <= lines.next < self.next or (self.is_open and lines.next == self.next)):
            self._first, self.next, self.byte = lines.next, lines.next, lines.byte + lines.size
            self._cell, self.is_open, self.over, self.complaint = _characters(opening["cell"]), True, False, ""
        return True

    def reaches(self, number: int, lines: Lines) -> bool:
        """Whether the csv module would read the line of this number, too. The lines before it were reached."""
        while self.is_open and self.next <= number:
            self._go_on(lines)
        return number < self.next

    def closes(self, lines: Lines, most: int) -> bool:
        """Whether the record ends as one does, at an offset of at most `most`."""
        while self.is_open and self.byte <= most:
            self._go_on(lines)
        return not (self.is_open or self.over or self.complaint) and self.byte <= most

    def _go_on(self, lines: Lines) -> None:
        line = lines.at(self.next)
        if line is None:
            self.is_open, self.over = False, True
            return
        self.next, self.byte = self.next + 1, self.byte + line.size
        closing = self.closing(line.text)
        self._cell += _characters(line.text[:closing])
        if closing < len(line.text):
            self._close('"' + line.text[closing:])
        if self._cell > MAX_CELL_CHARACTERS:
            self.complaint, self.is_open = f"field larger than field limit ({MAX_CELL_CHARACTERS})", False

    def closing(self, text: str) -> int:
        """Where the quote stands that closes a cell which was opened before; the length of the text if none does."""
        found = self._quoted.match(text)
        return found.end() if found else 0

    def _close(self, text: str) -> None:
        """Go on from a closing quote, given the text from there on with the opening one before it."""
        cells, self.complaint = self._cells(text)
        opening = self._opening.match(text)
        self.is_open = opening is not None and not self.complaint
        self._cell += len(cells[0])
        if opening and self._cell <= MAX_CELL_CHARACTERS:
            self._cell = _characters(opening["cell"])

    def _cells(self, text: str) -> tuple[list[str], str]:
        """The cells of a line, or why the csv module refuses it."""
        try:
            return next(csv.reader([text], delimiter=self._delimiter, skipinitialspace=True)), ""
        except csv.Error as error:
            return [""], str(error)


def _characters(quoted: str) -> int:
    """How long the value is that is written so within quotes."""
    return len(quoted) - quoted.count('"') // 2
