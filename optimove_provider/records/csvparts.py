"""The rows of a CSV file: regular parts of its text side by side, odd records one by one, and all reported in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from optimove_provider.records import rulebook
from optimove_provider.records.csvblocks import Offsets, likely_size
from optimove_provider.records.csvcells import Look, Looked, look_at
from optimove_provider.records.csvtable import Table
from optimove_provider.records.csvtext import Ahead, Fault, Record, Records, one_record
from optimove_provider.records.findings import ERROR, WARNING, Finding, Report
from optimove_provider.records.rulebook import FileRule
from optimove_provider.records.split import Split
from optimove_provider.records.watching import Places

BLOCK_BYTES = 4 << 20
WORKERS = 2
LONGEST_EXACT_RUN = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record starts: the rows before it, its physical line (from 1), its offset."""

    rows: int
    line: int
    byte: int


class LineEnds:
    """Whether every row ends as the header does. `findings` has a warning about the first that does not."""

    def __init__(self, crlf: bool) -> None:
        self.crlf = crlf
        self.findings: list[Finding] = []

    def differs(self, place: Place) -> None:
        """Tell of a row that ends another way."""
        if self.findings:
            return
        here, there = ("CR and LF", "LF") if self.crlf else ("LF", "CR and LF")
        message = f"mixed line ends: the header ends with {here}, this row is the first that ends with {there}"
        rule = rulebook.LINE_ENDS
        row, line, byte = place.rows + 1, place.line, place.byte
        self.findings = [Finding(row, line, byte, "", rule.name, "", message, rule.severity)]


def blank_line(record: Record, message: str, rule: FileRule) -> Finding:
    """A finding about a record that is a blank line."""
    return Finding(0, record.line, record.byte, "", rule.name, "", message, rule.severity)


@dataclass(frozen=True, slots=True)
class _Block:
    """Some text that is being looked at, of which the first `size` bytes were taken for regular."""

    text: bytes
    size: int
    looked: "Future[Looked]"


@dataclass(frozen=True, slots=True)
class _Part:
    """A regular part of the text, and what was seen in it."""

    place: Place
    text: bytes
    looked: Looked

    def at(self, row: int) -> Place:
        """Where a row (from 0) of the part starts."""
        cut = self.looked.part
        return Place(self.place.rows + row, self.place.line + cut.line(row), self.place.byte + cut.start(row))

    def places(self, rows: Offsets) -> Places:
        """Where many rows start, their numbers from 1: asked one by one, each would wait for other threads."""
        cut = self.looked.part
        starts = np.append(0, cut.ends)[rows]
        lines = self.place.line + np.searchsorted(cut.newlines, starts)
        return Places(self.place.rows + 1 + rows, lines, self.place.byte + starts)

    @property
    def end(self) -> Place:
        cut = self.looked.part
        return Place(self.place.rows + len(cut.ends), self.place.line + cut.lines, self.place.byte + cut.size)

    def between(self, first: int, last: int) -> bytes:
        """The rows from one on, up to another."""
        return self.text[self.looked.part.start(first) : self.looked.part.start(last)]


class Rows:
    """The rows of one file, from the place after its header on."""

    def __init__(
        self, ahead: Ahead, delimiter: str, table: Table, report: Report, place: Place, split: Split | None
    ) -> None:
        self._ahead, self._delimiter, self._table, self._report, self._place = ahead, delimiter, table, report, place
        self._split, self._watches = split, table.watches
        self.line_ends = LineEnds(table.crlf)
        watched = tuple(watch.column for watch in table.watches)
        self._look = Look(table.width or 0, delimiter, table.checks, watched, table.crlf)

        self._blocks: deque[_Block] = deque()
        self._lead, self._run = WORKERS, 1

    def check(self, block_bytes: int, progress: Callable[[int, int], None] | None) -> None:
        """Check all rows; `progress` is told the rows and bytes read so far, once a block.

        Blocks are cut where their records seem to end, and looked at before it is their turn. Where one proves odd,
        what comes after is given back, and nothing is taken ahead until a block is regular again.
        """
        wanted = block_bytes
        with ThreadPoolExecutor(WORKERS, "csvcheck") as workers:
            while (text := self._ahead.look(wanted)) or self._blocks:
                whole = self._take(workers, text) if text else 0
                while len(self._blocks) > (self._lead if whole else 0):
                    self._settle(block_bytes)
                    if progress:
                        progress(self._report.rows, self._place.byte)
                wanted = block_bytes if whole or not self._lead else 2 * len(text)

    def _take(self, workers: ThreadPoolExecutor, text: bytes) -> int:
        """Have a block looked at. Returns how many bytes of it seem to be whole records: those are taken."""
        final = self._ahead.is_last(text)
        size = likely_size(text, final)
        self._blocks.append(_Block(text, size, workers.submit(look_at, text, final, self._look)))
        self._ahead.skip(size)
        return size

    def _settle(self, block_bytes: int) -> None:
        """Report what the oldest block held; if it was odd, read on from there record by record."""
        block = self._blocks.popleft()
        looked = block.looked.result()
        self._report_part(_Part(self._place, block.text, looked))
        size = looked.part.size
        self._run = 1 if size > block_bytes // 2 else min(self._run * 2, LONGEST_EXACT_RUN)
        self._lead = 0 if looked.part.odd else WORKERS
        if looked.part.odd:
            self._ahead.push(b"".join([block.text[size : block.size], *(one.text[: one.size] for one in self._blocks)]))
            while self._blocks:
                self._blocks.pop().looked.cancel()
            self._read_exactly()

    def _report_part(self, part: _Part) -> None:
        report, looked = self._report, part.looked
        for check, wrong in zip(self._table.checks, looked.wrong, strict=False):
            for severity, count in wrong.counts():
                report.count(check.rule, self._table.name(check.column), severity, count)
        self._keep(part)
        report.rows += len(looked.part.ends)
        report.valid_rows += len(looked.part.ends) - len(looked.refused)
        if looked.ends_otherwise is not None:
            self.line_ends.differs(part.at(looked.ends_otherwise))
        self._watch(part)
        if self._split:
            self._split_part(self._split, part)
        self._place = part.end

    def _keep(self, part: _Part) -> None:
        """Keep findings in the order of their rows, and in a row in the order of the checks, while there is room."""
        wrong: list[tuple[int, Finding | Fault]] = [*self._ragged_findings(part), *self._cell_faults(part)]
        wrong.sort(key=lambda one: one[0])
        places = part.places(np.array([row for row, _ in wrong], np.int64))
        for (_, found), row, line, byte in zip(
            wrong, *(one.tolist() for one in (places.rows, places.lines, places.bytes)), strict=True
        ):
            if self._report.room(found.severity):
                if isinstance(found, Fault):
                    found = self._table.cell_finding(row, line, byte, found)
                self._report.keep(found)

    def _ragged_findings(self, part: _Part) -> Iterator[tuple[int, Finding]]:
        """What is wrong with rows that have another number of cells: it is counted, too."""
        for row in part.looked.ragged:
            place = part.at(row)
            for finding in self._table.row_findings(self._record(part, row, place), place.rows + 1):
                self._report.count(finding.rule, finding.column, finding.severity)
                yield row, finding

    def _cell_faults(self, part: _Part) -> Iterator[tuple[int, Fault]]:
        """Of each column as many as there is room for: all cells may be wrong."""
        errors, warnings = self._report.room(ERROR), self._report.room(WARNING)
        for check, wrong in zip(self._table.checks, part.looked.wrong, strict=False):
            for row, value in wrong.first(errors, warnings):
                if fault := check.decide(value):
                    yield row, fault

    def _record(self, part: _Part, row: int, place: Place) -> Record:
        return one_record(part.between(row, row + 1), self._delimiter, place.line, place.byte)

    def _split_part(self, split: Split, part: _Part) -> None:
        rows, first = len(part.looked.part.ends), 0
        for row in [*part.looked.refused.tolist(), rows]:
            split.accept(part.between(first, row), row - first)
            first = row + 1
            if row < rows:
                place = part.at(row)
                self._split_record(split, self._record(part, row, place), place.rows + 1)

    def _split_record(self, split: Split, record: Record, row: int) -> None:
        findings = self._table.row_findings(record, row)
        reasons = [f"{one.column}: {one.message}".removeprefix(": ") for one in findings if one.severity == ERROR]
        if reasons:
            split.refuse(row, record.line, record.raw, reasons)
        else:
            split.accept(record.raw, 1)

    def _watch(self, part: _Part) -> None:
        if not self._watches:
            return
        places = part.places(part.looked.numbers)
        for watch, cells in zip(self._watches, part.looked.watched, strict=False):
            watch.see(places, cells)

    def _read_exactly(self) -> None:
        """Read an odd record, and on until so many records as make a run were regular."""
        records = Records(self._ahead, self._delimiter, self._place.line, self._place.byte)
        records.width = self._table.width
        rows, regular = self._place.rows, 0
        for record in records:
            if not record.cells and not record.broken:
                self._report.add(blank_line(record, "a blank line: skipped", rulebook.BLANK_LINE))
                regular = 0
            else:
                rows += 1
                self._report_record(record, rows)
                regular = 0 if record.faults else regular + 1
            if regular >= self._run and records.rest is not None:
                break
        self._ahead.push(records.rest or b"")
        self._place = Place(rows, records.line, records.byte)

    def _report_record(self, record: Record, row: int) -> None:
        self._report.add_row(self._table.row_findings(record, row))
        if record.ends_with_crlf is (not self.line_ends.crlf):
            self.line_ends.differs(Place(row - 1, record.line, record.byte))
        if self._split:
            self._split_record(self._split, record, row)
        if not record.broken and len(record.cells) == self._look.width:
            places = Places(*(np.array([number]) for number in (row, record.line, record.byte)))
            for watch in self._watches:
                cell = record.cells[watch.column].encode(errors="surrogateescape")
                watch.see(places, pa.array([cell], pa.binary()))
