"""Warnings about the ids of a file or a load: damaged ones, ids that look alike, and ids that are there more than once.

The damage to a single id shows at once. Whether an id was there before shows only at the end. What is odd and what is
alike is said by one rule book, `contract/cells/ids`, for files and loads alike.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from optimove_provider.records.arrow.types import Integers, Mask
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding
from optimove_provider.records.observe.marks import HAS_EXPONENT, NULL_MARKER, PADDED, UNPADDED, UNSEEN, forms, marks
from optimove_provider.records.observe.observer import CellBuffer
from optimove_provider.records.observe.widths import Widths
from optimove_provider.records.repeated.repeated_texts import (
    AT_ONCE,
    KEPT,
    Compared,
    OnCompared,
    RepeatedTexts,
    no_progress,
    nothing_told,
)

_MESSAGES = {
    file_rules.ID_LEADING_ZEROS.name: "shorter than the others, which have {width} digits: leading zeros may be lost",
    file_rules.ID_EXPONENT.name: "a number with an exponent, as a spreadsheet writes it: digits of the id are lost",
    file_rules.ID_PADDING.name: "white space around the id is part of it",
    file_rules.ID_UNSEEN.name: "characters that nobody sees, or an uncommon Unicode form, are part of it: {escaped}",
    file_rules.ID_NULL.name: "a marker of null, which makes one customer of all who have no id",
    file_rules.ID_CASE.name: "differs only in case from the id in row {first2}",
    file_rules.ID_LOOKALIKE.name: "differs from the id in row {first1} only in what nobody sees: {escaped}",
    file_rules.ID_DUPLICATE.name: "the same id as in row {first0}",
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

    The ids are written to a file in `folder` (without it, the system's folder for temporary files), which nobody sees
    and which goes with the process. Some `at_once` are compared at a time; `on_compared` is told now and then how many
    of how many were. Raises NotWritten where the disk is full.
    """

    def __init__(
        self,
        column: int,
        name: str,
        folder: Path | None = None,
        at_once: int = AT_ONCE,
        on_compared: OnCompared = no_progress,
        errors: Collection[str] = (),
    ) -> None:
        self.column = column
        self._name, self._errors = name, errors
        self._buffer = CellBuffer()
        self._widths = Widths()
        self._flag_counts = {rule: 0 for bit, rule in _RULE_OF_BIT.items() if bit != UNPADDED}
        self._ids = RepeatedTexts(folder, forms, on_compared, at_once)
        self._compared: Compared | None = None
        self._seconds = 0.0

    def see(self, locations: Locations, cells: pa.BinaryArray) -> None:
        """Look at the next ids. ValueError after the findings were asked for."""
        if self._compared:
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
        started = time.monotonic()
        if found.blank.any():
            fit = ~found.blank
            locations = Locations(locations.rows[fit], locations.lines[fit], locations.bytes[fit])
            self._ids.add(locations, cells.filter(pa.array(fit)), found.hashes[fit], found.flags[fit])
        else:
            self._ids.add(locations, cells, found.hashes, found.flags)
        self._seconds += time.monotonic() - started

    def _compare(self, most: int = KEPT) -> Compared:
        """What was found; compared once, and again where more is wanted of it."""
        if not self._compared or not (self._compared.is_all or len(self._compared.found) >= most):
            self._store()
            started = time.monotonic()
            is_odd = any(self._flag_counts.values()) or bool(self._widths.suspected())
            self._compared = self._ids.compare(most, self._is_odd if is_odd else nothing_told)
            self._seconds += time.monotonic() - started
        return self._compared

    def _is_odd(self, flags: Integers, lengths: Integers) -> Mask:
        return np.asarray((flags > UNPADDED) | (flags == UNPADDED) & (lengths < (self._widths.full() or 0)))

    def counts(self) -> Iterator[tuple[str, int]]:
        """How many findings of each rule there are, those without any left out."""
        duplicates, looks, cases = self._compare().counts
        found = {file_rules.ID_LEADING_ZEROS.name: self._widths.suspected(), **self._flag_counts}
        found |= {file_rules.ID_CASE.name: cases, file_rules.ID_LOOKALIKE.name: looks}
        found |= {file_rules.ID_DUPLICATE.name: duplicates}
        return ((rule, count) for rule, count in found.items() if count)

    def findings(self) -> Iterator[Finding]:
        """What was found, in the order of the rows, in a row in that of ID_RULES. The ids are compared anew for each
        time that more than KEPT rows are wanted, then four times as many and so on."""
        told, most = 0, KEPT
        while True:
            compared = self._compare(most)
            for batch in compared.found.slice(told).to_batches(1024):
                for found in batch.to_pylist():
                    yield from self._row_findings(found)
            if compared.is_all:
                break
            told, most = len(compared.found), 4 * most

    def _row_findings(self, found: Mapping[str, Any]) -> Iterator[Finding]:
        id_, flags, width = found["text"], found["flags"], self._widths.full()
        value = id_.decode("utf-8", "backslashreplace")
        is_odd = flags != UNPADDED or len(id_) < (width or 0)
        rules = [rule for bit, rule in _RULE_OF_BIT.items() if flags & bit and is_odd]
        rules += [file_rules.ID_CASE.name] if found["first2"] != found["first1"] else []
        rules += [file_rules.ID_LOOKALIKE.name] if found["first1"] != found["first0"] else []
        rules += [file_rules.ID_DUPLICATE.name] if found["first0"] != found["row"] else []
        for rule in rules:
            is_error = rule in self._errors
            message = _MESSAGES[rule].format(width=width, escaped=ascii(value[:40]), **found)
            message += _REFUSED if is_error else ""
            severity = ERROR if is_error else WARNING
            yield Finding(found["row"], found["line"], found["byte"], self._name, rule, value, message, severity)

    def cost(self) -> str:
        """What comparing the ids cost, in a sentence."""
        return (
            f"{self._widths.ids:,} {'id' if self._widths.ids == 1 else 'ids'} compared in {self._seconds:.1f} s, "
            f"with {self._ids.written / 1e6:,.1f} MB on disk"
        )

    def close(self) -> None:
        """Remove the file; nothing can be asked for after that."""
        self._ids.close()
