"""Whether it is certain where records end: after a quoted cell that went wrong, nobody knows whether the lines that
follow are rows, or still a part of that cell."""

import re

from optimove_provider.records.csv_syntax.reader import Record

# Where a reader may be: at the start of a cell, after spaces there, in a cell without quotes, in a quoted one, after a
# quote in that, which closes it or is one half of a doubled quote.
_START, _SPACES, _PLAIN, _QUOTED, _AFTER = range(5)


class Certainty:
    """Follows every way to read the records, from one that is broken on, until all ways agree that a record ends."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._pieces = re.compile(rf'["\n{re.escape(delimiter)}]| +|[^"\n {re.escape(delimiter)}]+')
        self._ways = {_START}
        self._since = 0

    @property
    def is_lost(self) -> bool:
        """Whether the next record may be no record."""
        return self._ways != {_START}

    def take(self, record: Record) -> None:
        """Follow a record, the next one of the file, and mark it with the line since which its start is in doubt."""
        if not self.is_lost:
            if not record.broken:
                return
            self._since = record.line
        else:
            record.doubt = self._since
        if record.is_cut:
            self._ways = {_START, _QUOTED}
        elif '"' in record.text:
            self._follow(record.text.replace("\r\n", "\n"))

    def _follow(self, text: str) -> None:
        for piece in self._pieces.findall(text if text.endswith("\n") else f"{text}\n"):
            self._ways = {after for way in self._ways for after in self._step(way, piece)}

    def _step(self, way: int, piece: str) -> tuple[int, ...]:
        """Where a reader may be after the next piece: a quote, a delimiter, a line end, spaces, or other text."""
        if way == _QUOTED:
            return (_AFTER,) if piece == '"' else (_QUOTED,)
        if piece in (self._delimiter, "\n"):
            return (_START,)
        if way == _AFTER:
            return (_QUOTED,) if piece == '"' else (_QUOTED, _PLAIN)
        if piece == '"' and way != _PLAIN:
            return (_QUOTED,) if way == _START else (_QUOTED, _PLAIN)
        return (_SPACES,) if piece[0] == " " and way != _PLAIN else (_PLAIN,)
