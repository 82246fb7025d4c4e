"""Attributes guessed from the values of a CSV file, in one pass and in constant memory.

The guess is cautious. A column gets a datatype only if the rule of that datatype calls each of its values valid, as an
import writes it where the vendor disputes its form; what is left is a string: an identifier with leading zeros is no
number, and a number is a time only if the column's name says so too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.cells.datatypes import KEY_COLUMN, RULES, Rule, Verdict, is_key_column
from optimove_provider.contract.cells.ids import is_null_marker
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.types import Integers
from optimove_provider.records.csv_syntax.grammar import other_separator, separator_message
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import Finding, Findings
from optimove_provider.records.validate.prefilter import PLAIN, string
from optimove_provider.records.validate.row_validator import OnProgress
from optimove_provider.records.validate.validate import Options, check_csv

_BY_NAME = {rule.name: rule for rule in RULES}
_CANDIDATES = tuple(_BY_NAME[name] for name in ("bool", "date", "datetime", "epoch", "long", "double"))
"""Where several fit, the first is taken."""

_STRING = _BY_NAME["string"]
_WORDS_OF_TIME = frozenset({"at", "ts", "epoch", "timestamp"})
_EPOCH_DIGITS = 10  # from September 2001 to November 2286
_MAX_SHOWN = 40
_TYPED = "n/a"
"""A marker that people type, among other words: such a column is text."""
_FIRST_CELLS = 64  # cells: most datatypes are ruled out by the first few, and need not be looked for among the others

BLOCK_BYTES = 2 << 20
"""Less than a check reads at a time: the first rows may be all that is wanted."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The datatype of one column, and a sentence that says why."""

    column: str
    rule: Rule
    why: str

    def as_json(self) -> dict[str, Any]:
        """The attribute as the attributes endpoint returns it."""
        return {"name": self.column, "datatype": self.rule.datatype, "format": self.rule.format}

    def describe(self) -> str:
        """One line for people: "'orders': long: ..."."""
        rule = self.rule
        return f"{self.column!r}: {rule.datatype}{f' {rule.format}' if rule.format else ''}: {self.why}"


@dataclass(slots=True)
class Guesses:
    """What was guessed from `rows` rows; rows that could not be read as cells were `skipped` on top of them."""

    columns: list[Guess] = field(default_factory=list)
    has_key: bool = False
    rows: int = 0
    skipped: int = 0

    def as_json(self) -> list[dict[str, Any]]:
        """The attributes in the order of the columns; customerId is none."""
        return [guess.as_json() for guess in self.columns]

    def describe(self) -> list[str]:
        """Lines for people: one for each column, then what else should be known."""
        lines = [guess.describe() for guess in self.columns]
        if not self.has_key:
            lines.append(f"there is no column {KEY_COLUMN}: a file needs one to be imported")
        if self.skipped:
            lines.append(f"{self.skipped} of {self.rows + self.skipped} rows could not be read and do not count")
        return lines


def infer(
    stream: BinaryIO,
    name: str,
    delimiter: str = ",",
    rows: int | None = None,
    on_progress: OnProgress | None = None,
) -> Guesses:
    """Guess the attributes of a CSV file from all of its rows, or from the first `rows`.

    `stream` has decompressed bytes; `name` is the file's in errors. `on_progress` is called with the rows and bytes
    read so far. Raises DataError if there is no header, or one whose names cannot be attributes.
    """
    header: list[str] = []
    columns: list[_Column] = []
    found = Findings()

    def make_observers(names: Sequence[str], _: object) -> Sequence[_Column]:
        header.extend(_usable(names, name, delimiter))
        guessed = [(index, column) for index, column in enumerate(header) if not is_key_column(column)]
        last = guessed[-1][0] if guessed else -1
        columns.extend(_Column(index, column, rows, is_last=index == last) for index, column in guessed)
        return columns

    options = Options(file=name, delimiter=delimiter, max_findings=1, observers=make_observers, block_bytes=BLOCK_BYTES)
    try:
        found = check_csv(stream, [], options, on_progress)
        read = found.rows
    except _Enough:
        read = rows or 0
    if not header:
        raise DataError(_why_no_header(name, found))
    seen = columns[0].seen if columns else read
    return Guesses([column.guess() for column in columns], len(columns) < len(header), seen, read - seen)


def _why_no_header(name: str, found: Findings) -> str:
    other = [one.message for one in found.findings if one.rule != file_rules.EMPTY_FILE.name]
    return f"{name!r}: {other[0]}" if other else f"{name!r} is empty: it needs a header row"


def _usable(names: Sequence[str], name: str, delimiter: str) -> Sequence[str]:
    if not names:
        raise DataError(f"{name!r}: the header cannot be read; `validate` says why")
    if separator := other_separator(names[0], delimiter, list(names)):
        raise DataError(f"{name!r}: {separator_message(separator)}, and so does `infer`")
    seen: set[str] = set()
    for index, column in enumerate(names):
        if not column.strip():
            raise DataError(f"{name!r}: column {index + 1} has no name in the header: give it one")
        if column in seen:
            raise DataError(f"{name!r}: the header has the column {column!r} more than once: rename one")
        seen.add(column)
        if any("\udc80" <= character <= "\udcff" for character in column):
            raise DataError(f"{name!r}: the name of column {index + 1} is not UTF-8; `validate` says more")
    return names


class _Enough(Exception):
    """As many rows were seen as were wanted."""


class _Column:
    """Observes the cells of one column, and knows which datatypes they leave possible."""

    def __init__(self, column: int, name: str, limit: int | None, is_last: bool) -> None:
        self.column, self._name, self._limit, self._is_last = column, name, limit, is_last
        self._open = list(_CANDIDATES)
        self._filled = self.seen = 0
        self._markers: dict[str, int] = {}  # the first row of each
        self._ten_digits = True
        self._row, self._cell, self._ruled_out = 0, "", [_STRING]
        self._rewritten: dict[str, tuple[int, str]] = {}  # by rule, the first cell that an import writes otherwise

    def see(self, locations: Locations, cells: pa.BinaryArray) -> None:
        """Close what the cells rule out. Raises _Enough after the last column's last cell that is wanted."""
        count = len(cells) if self._limit is None else int(np.searchsorted(locations.rows, self._limit, "right"))
        self.seen += count
        for start, end in ((0, min(_FIRST_CELLS, count)), (_FIRST_CELLS, count)):
            if self._open and start < end:
                self._narrow(locations.rows[start:end], cells.slice(start, end - start))
        if self._is_last and self._limit is not None and len(cells) and locations.rows[-1] >= self._limit:
            raise _Enough

    def counts(self) -> Iterable[tuple[str, int]]:
        """Nothing is found here."""
        return ()

    def findings(self, limit: int | None = None) -> Iterator[Finding]:
        """Nothing is found here."""
        return iter(())

    def cost(self) -> str:
        """Nothing worth a word."""
        return ""

    def close(self) -> None:
        """Nothing is held."""

    def _narrow(self, rows: Integers, cells: pa.BinaryArray) -> None:
        rows, cells = self._without_markers(rows, cells)
        lengths = pc.binary_length(cells).to_numpy(zero_copy_only=False)
        self._filled += int(np.count_nonzero(lengths))
        self._ten_digits &= bool(np.all((lengths == 0) | (lengths == _EPOCH_DIGITS)))
        plain = np.all([PLAIN[rule.name](cells) for rule in self._open], axis=0)
        doubtful = np.flatnonzero(~plain)
        judged = {b""}
        for row, cell in zip(doubtful, cells.take(pa.array(doubtful)).to_pylist(), strict=True):
            if self._open and cell not in judged:
                judged.add(cell)
                self._drop(int(rows[row]), cell.decode(errors="surrogateescape"))

    def _without_markers(self, rows: Integers, cells: pa.BinaryArray) -> tuple[Integers, pa.BinaryArray]:
        """The cells that are no markers of null: those say nothing about a datatype, as empty cells do."""
        maybe = np.flatnonzero(~string(cells))
        texts = [text.decode(errors="replace") for text in cells.take(pa.array(maybe)).to_pylist()]
        found = [
            (row, text)
            for row, text in zip(maybe.tolist(), texts, strict=True)
            if is_null_marker(text) and text.lower() != _TYPED
        ]
        if not found:
            return rows, cells
        for row, text in found:
            self._markers.setdefault(text, int(rows[row]))
        kept = np.isin(np.arange(len(cells)), [row for row, _ in found], invert=True)
        return rows[kept], cells.filter(pa.array(kept))

    def _drop(self, row: int, cell: str) -> None:
        """Close the datatypes that a cell is no valid value of, in whichever form."""
        ruled_out = [rule for rule in self._open if rule.judge(rule.undisputed(cell)) is not Verdict.VALID]
        if cell.removeprefix("-").isdecimal() and _BY_NAME["long"].judge(cell) is not Verdict.VALID:
            ruled_out = self._open  # more digits than a long has: as a double it would lose some
        if ruled_out:
            self._open = [rule for rule in self._open if rule not in ruled_out]
            self._row, self._cell, self._ruled_out = row, cell, ruled_out
        for rule in self._open:
            if rule.undisputed(cell) != cell:
                self._rewritten.setdefault(rule.name, (row, cell))

    def guess(self) -> Guess:
        """Choose, after the last row."""
        if not self._filled:
            return Guess(self._name, _STRING, f"there is no value in it{self._nulls()}")
        if not self._open:
            why = f"row {self._row} has {_short(self._cell)}, which is {self._no()}{self._nulls()}"
            return Guess(self._name, _STRING, why)
        chosen = next(rule for rule in self._open if rule.name != "epoch" or self._may_be_epoch())
        remarks = f"{self._remark(chosen)}{self._other_form(chosen)}{self._nulls()}"
        return Guess(self._name, chosen, f"fits {_all(self._filled)}{remarks}")

    def _other_form(self, chosen: Rule) -> str:
        """What an import does not send as it stands."""
        row, cell = self._rewritten.get(chosen.name, (0, ""))
        return f"; an import writes {_short(cell)} of row {row} as {_short(chosen.undisputed(cell))}" if row else ""

    def _nulls(self) -> str:
        """What markers of null were passed over."""
        told = ", ".join(f"{marker!r} (first in row {row})" for marker, row in list(self._markers.items())[:3])
        return f"; besides markers of null, which should be empty cells: {told}" if told else ""

    def _no(self) -> str:
        """What the cell is not that left nothing but text."""
        disputed = [rule for rule in self._ruled_out if rule.judge(self._cell) is Verdict.DISPUTED]
        if not disputed and len(self._ruled_out) == len(_CANDIDATES):
            return "text"
        numbers = [rule for rule in self._ruled_out if rule.name in ("long", "double")]
        named = disputed[:1] or numbers or self._ruled_out
        doubt = f" ({disputed[0].doubt})" if disputed else ""
        return " and ".join(f"no {_kind(rule)}" for rule in named) + doubt

    def _may_be_epoch(self) -> bool:
        return self._ten_digits and not _WORDS_OF_TIME.isdisjoint(self._name.casefold().split("_"))

    def _remark(self, chosen: Rule) -> str:
        if chosen.name == "epoch":
            return ", all of ten digits, and the name speaks of a time; else they would be long"
        if chosen.name == "long" and _BY_NAME["epoch"] in self._open and self._ten_digits:
            return ", all of ten digits; the name speaks of no time, so they are taken for no epoch"
        return ""


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= _MAX_SHOWN else f"{cell[:_MAX_SHOWN]}...")


def _all(count: int) -> str:
    return "its only value" if count == 1 else f"all of its {count} values"


def _kind(rule: Rule) -> str:
    return f"{rule.datatype} {rule.format}" if rule.format else rule.datatype
