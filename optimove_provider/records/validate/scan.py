"""The rows of a CSV file: regular parts of its text side by side, odd records one by one, and all reported in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from optimove_provider.records.arrow.types import Offsets
from optimove_provider.records.csv_syntax.grammar import Fault
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.positions import Place, Places
from optimove_provider.records.csv_syntax.reader import Record, one_record
from optimove_provider.records.csv_syntax.scan import RegularBlock, scan
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.file_rules import FileRule
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings
from optimove_provider.records.validate.cells import BlockResult, ColumnPlan, FaultyCells, PipelinedCheck
from optimove_provider.records.validate.header import HeaderSchema
from optimove_provider.records.validate.row_sink import RowSink

BLOCK_BYTES = 6 << 20
MAX_WAITING = 2
"""Blocks that are looked at while the next one is cut: more would need memory and gain nothing."""


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
        rule = file_rules.LINE_ENDS
        row, line, byte = place.rows + 1, place.line, place.byte
        self.findings = [Finding(row, line, byte, "", rule.name, "", message, rule.severity)]


def blank_line(record: Record, message: str, rule: FileRule) -> Finding:
    """A finding about a record that is a blank line."""
    return Finding(0, record.line, record.byte, "", rule.name, "", message, rule.severity)


def _keep_freed_memory(size: int) -> None:
    """Have the C library keep what is freed, up to twice this size, for what comes next.

    The GNU one gives large pieces back to the system, which must clear each of their pages for the next block; but not
    those smaller than what was freed before, 32 MB at most (mallopt(3), M_MMAP_THRESHOLD).
    """
    np.empty(size, np.uint8)


class RowScan:
    """The rows of one file, from the place after its header on."""

    def __init__(
        self,
        stream: LookaheadStream,
        delimiter: str,
        table: HeaderSchema,
        report: Findings,
        start: Place,
        row_sink: RowSink | None,
    ) -> None:
        self._stream, self._delimiter, self._table, self._report = stream, delimiter, table, report
        self._start, self._row_sink, self._watches = start, row_sink, table.watches
        self.line_ends = LineEnds(table.crlf)
        watched = tuple(watch.column for watch in table.watches)
        self._look = ColumnPlan(table.width or 0, delimiter, table.checks, watched, table.crlf)
        self._waiting: deque[tuple[RegularBlock, Callable[[], BlockResult]]] = deque()

    def check(self, block_bytes: int, on_progress: Callable[[int, int], None] | None) -> None:
        """Check all rows; `on_progress` is told the rows and bytes read so far, once a block."""
        _keep_freed_memory(5 * block_bytes)
        with ThreadPoolExecutor(1, "csvcheck") as thread:
            beside = PipelinedCheck(thread, self._look)
            for item in scan(self._stream, self._delimiter, self._table.width, self._start, block_bytes):
                if isinstance(item, RegularBlock):
                    self._waiting.append((item, beside.look_at(item.text, item.part)))
                    self._report_blocks(MAX_WAITING, on_progress)
                else:
                    self._report_blocks(0, on_progress)
                    self._report_record(item)
            self._report_blocks(0, on_progress)

    def _report_blocks(self, waiting: int, on_progress: Callable[[int, int], None] | None) -> None:
        """Report what the oldest blocks held, until so many are left."""
        while len(self._waiting) > waiting:
            block, result = self._waiting.popleft()
            self._report_block(block, result())
            if on_progress:
                on_progress(self._report.rows, block.end.byte)

    def _report_block(self, block: RegularBlock, looked: BlockResult) -> None:
        report = self._report
        for check, wrong in zip(self._table.checks, looked.wrong, strict=False):
            for severity, count in wrong.counts():
                report.count(check.rule, self._table.name(check.column), severity, count)
        self._keep(block, looked)
        report.rows += block.rows
        report.valid_rows += block.rows - len(looked.refused)
        if looked.ends_otherwise is not None:
            self.line_ends.differs(block.place(looked.ends_otherwise))
        self._watch(block, looked)
        if self._row_sink:
            self._hand_over_block(self._row_sink, block, looked.refused)

    def _keep(self, block: RegularBlock, looked: BlockResult) -> None:
        """Keep findings in the order of their rows, and in a row in the order of the checks, while there is room."""
        wrong: list[tuple[int, Finding | Fault]] = [
            *self._ragged_findings(block, looked.ragged),
            *self._cell_faults(looked.wrong),
        ]
        wrong.sort(key=lambda one: one[0])
        places = block.places(np.array([row for row, _ in wrong], np.int64))
        for (_, found), row, line, byte in zip(
            wrong, *(one.tolist() for one in (places.rows, places.lines, places.bytes)), strict=True
        ):
            if self._report.room(found.severity):
                if isinstance(found, Fault):
                    found = self._table.cell_finding(row, line, byte, found)
                self._report.keep(found)

    def _ragged_findings(self, block: RegularBlock, ragged: Sequence[int]) -> Iterator[tuple[int, Finding]]:
        """What is wrong with rows that have another number of cells: it is counted, too."""
        for row in ragged:
            place = block.place(row)
            for finding in self._table.row_findings(self._record(block, row, place), place.rows + 1):
                self._report.count(finding.rule, finding.column, finding.severity)
                yield row, finding

    def _cell_faults(self, wrong: Sequence[FaultyCells]) -> Iterator[tuple[int, Fault]]:
        """Of each column as many as there is room for: all cells may be wrong."""
        errors, warnings = self._report.room(ERROR), self._report.room(WARNING)
        for check, cells in zip(self._table.checks, wrong, strict=False):
            for row, value, severity in cells.first(errors, warnings):
                yield row, check.fault(value, severity)

    def _record(self, block: RegularBlock, row: int, place: Place) -> Record:
        return one_record(block.between(row, row + 1), self._delimiter, place.line, place.byte)

    def _hand_over_block(self, row_sink: RowSink, block: RegularBlock, refused: Offsets) -> None:
        rows, first = block.rows, 0
        for row in [*refused.tolist(), rows]:
            row_sink.accept(block.between(first, row), row - first)
            first = row + 1
            if row < rows:
                place = block.place(row)
                self._hand_over_record(row_sink, self._record(block, row, place), place.rows + 1)

    def _hand_over_record(self, row_sink: RowSink, record: Record, row: int) -> None:
        findings = self._table.row_findings(record, row)
        reasons = [f"{one.column}: {one.message}".removeprefix(": ") for one in findings if one.severity == ERROR]
        if reasons:
            row_sink.refuse(row, record.line, record.raw, reasons)
        else:
            row_sink.accept(record.raw, 1)

    def _watch(self, block: RegularBlock, looked: BlockResult) -> None:
        if not self._watches:
            return
        places = block.places(looked.numbers)
        for watch, cells in zip(self._watches, looked.watched, strict=False):
            watch.see(places, cells)

    def _report_record(self, record: Record) -> None:
        if record.is_blank:
            self._report.add(blank_line(record, "a blank line: skipped", file_rules.BLANK_LINE))
            return
        row = self._report.rows + 1
        self._report.add_row(self._table.row_findings(record, row))
        if record.ends_with_crlf is (not self.line_ends.crlf):
            self.line_ends.differs(Place(row - 1, record.line, record.byte))
        if self._row_sink:
            self._hand_over_record(self._row_sink, record, row)
        if not record.broken and len(record.cells) == self._look.width:
            places = Places(*(np.array([number]) for number in (row, record.line, record.byte)))
            for watch in self._watches:
                cell = record.cells[watch.column].encode(errors="surrogateescape")
                watch.see(places, pa.array([cell], pa.binary()))
