"""Warnings about the ids of a file or a load: damaged ones, ids that look alike, and ids that are there more than once.

The damage to a single id shows at once. Whether an id was there before shows only at the end. What is odd and what is
alike is said by one rule book, `contract/cells/ids`, for files and loads alike.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding
from optimove_provider.records.observe.comparison import AT_ONCE, MAX_MEMORY, Comparison, OnCompared, no_progress
from optimove_provider.records.observe.marks import HAS_EXPONENT, NULL_MARKER, PADDED, UNPADDED, UNSEEN, marks
from optimove_provider.records.observe.observer import CellBuffer
from optimove_provider.records.observe.widths import Widths

__all__ = ["AT_ONCE", "ID_RULES", "KeyObserver", "OnCompared", "no_progress"]

_MESSAGES = {
    file_rules.ID_LEADING_ZEROS.name: "shorter than the others, which have {width} digits: leading zeros may be lost",
    file_rules.ID_EXPONENT.name: "a number with an exponent, as a spreadsheet writes it: digits of the id are lost",
    file_rules.ID_PADDING.name: "white space around the id is part of it",
    file_rules.ID_UNSEEN.name: "characters that nobody sees, or an uncommon Unicode form, are part of it: {escaped}",
    file_rules.ID_NULL.name: "a marker of null, which makes one customer of all who have no id",
    file_rules.ID_CASE.name: "differs only in case from the id in row {first_case}",
    file_rules.ID_LOOKALIKE.name: "differs from the id in row {first_look} only in what nobody sees: {escaped}",
    file_rules.ID_DUPLICATE.name: "the same id as in row {first}",
}
_REFUSED = ": an upload refuses the whole load"
ID_RULES = tuple(rule.name for rule in file_rules.FILE_RULES["Ids"])
_RULE_OF_BIT = {
    UNPADDED: file_rules.ID_LEADING_ZEROS.name,
    HAS_EXPONENT: file_rules.ID_EXPONENT.name,
    PADDED: file_rules.ID_PADDING.name,
    UNSEEN: file_rules.ID_UNSEEN.name,
    NULL_MARKER: file_rules.ID_NULL.name,
}


class KeyObserver:
    """Warns about the ids in one column, `column` (from 0), which has the name `name`.

    Empty ids and those in which nothing can be seen are left out: another rule refuses them. Ids are the same if their
    bytes are; they differ only in what nobody sees if `ids.seen` makes them the same, and only in case if
    `ids.without_case` of that does (so do "ß" and "ss"). Of ids that are there several times, each row but the first is
    a finding. `errors` names the rules whose findings are errors.

    The ids are written to `folder` (an existing one; without it the system's folder for temporary files), which
    `close` empties again. `max_memory` bounds DuckDB, which compares some `at_once` ids at a time; `on_compared` is
    told now and then how many of how many it has done. OSError or duckdb.Error if the disk is full.
    """

    def __init__(
        self,
        column: int,
        name: str,
        folder: Path | None = None,
        max_memory: str = MAX_MEMORY,
        at_once: int = AT_ONCE,
        on_compared: OnCompared = no_progress,
        errors: Collection[str] = (),
    ) -> None:
        self.column = column
        self._name, self._errors = name, errors
        self._buffer = CellBuffer()
        self._widths = Widths()
        self._flag_counts = {rule: 0 for bit, rule in _RULE_OF_BIT.items() if bit != UNPADDED}
        self._ids = Comparison(folder, max_memory, at_once, on_compared)

    def see(self, locations: Locations, cells: pa.BinaryArray) -> None:
        """Look at the next ids. ValueError after the findings were asked for."""
        if self._ids.is_compared:
            raise ValueError("the ids were compared already")
        if self._buffer.add(locations, cells):
            self._store()

    def _store(self) -> None:
        locations, cells = self._buffer.take()
        if not len(cells):
            return
        found = marks(cells)
        self._widths.add(cells.filter(pa.array(found.numbers)), len(cells) - int(found.blank.sum()))
        for bit, rule in _RULE_OF_BIT.items():
            if rule in self._flag_counts:
                self._flag_counts[rule] += int(np.count_nonzero(found.flags & bit))
        places = [pa.array(one) for one in (locations.rows, locations.lines, locations.bytes)]
        columns = [*places, cells, found.seen, found.folded, pa.array(found.flags)]
        self._ids.add([one.filter(pa.array(~found.blank)) for one in columns] if found.blank.any() else columns)

    def _compare(self) -> tuple[int, int, int]:
        self._store()
        is_odd = any(self._flag_counts.values()) or bool(self._widths.suspected())
        return self._ids.compare(self._widths.full(), is_odd)

    def counts(self) -> Iterator[tuple[str, int]]:
        """How many findings of each rule there are, those without any left out."""
        cases, looks, duplicates = self._compare()
        found = {file_rules.ID_LEADING_ZEROS.name: self._widths.suspected(), **self._flag_counts}
        found |= {file_rules.ID_CASE.name: cases, file_rules.ID_LOOKALIKE.name: looks}
        found |= {file_rules.ID_DUPLICATE.name: duplicates}
        return ((rule, count) for rule, count in found.items() if count)

    def findings(self) -> Iterator[Finding]:
        """What was found, in the order of the rows, in a row in that of ID_RULES."""
        self._compare()
        for found in self._ids.found():
            yield from self._row_findings(**found)

    def _row_findings(
        self,
        row: int,
        line: int,
        byte: int,
        id: bytes,
        flags: int,
        first: int | None,
        first_look: int | None,
        first_case: int | None,
    ) -> Iterator[Finding]:
        value = id.decode("utf-8", "backslashreplace")
        rules = [rule for bit, rule in _RULE_OF_BIT.items() if flags & bit]
        rules += [file_rules.ID_CASE.name] if first_case != first_look else []
        rules += [file_rules.ID_LOOKALIKE.name] if first_look != first else []
        rules += [file_rules.ID_DUPLICATE.name] if first and first != row else []
        rows = {"first": first, "first_look": first_look, "first_case": first_case}
        for rule in rules:
            is_error = rule in self._errors
            message = _MESSAGES[rule].format(width=self._widths.full(), escaped=ascii(value[:40]), **rows)
            message += _REFUSED if is_error else ""
            yield Finding(row, line, byte, self._name, rule, value, message, ERROR if is_error else WARNING)

    @property
    def spilled_bytes(self) -> int:
        """The most bytes that were seen on disk between two steps of the comparison."""
        return self._ids.spilled_bytes

    def cost(self) -> str:
        """What comparing the ids cost, in a sentence."""
        return (
            f"{self._widths.ids:,} {'id' if self._widths.ids == 1 else 'ids'} compared in {self._ids.seconds:.1f} s, "
            f"with {self.spilled_bytes / 1e6:,.1f} MB on disk"
        )

    def close(self) -> None:
        """Remove the files; nothing can be asked for after that."""
        self._ids.close()
