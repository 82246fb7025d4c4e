"""The rows of a CSV file: regular blocks by their columns, odd records one by one, and all reported in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from optimove_provider.records.csv_syntax.blocks import cell_spans
from optimove_provider.records.csv_syntax.grammar import Fault, Grammar, spaced_fault
from optimove_provider.records.csv_syntax.locations import Location, Locations
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import Record, one_record
from optimove_provider.records.csv_syntax.scan import RegularBlock, scan
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.file_rules import FileRule
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings
from optimove_provider.records.validate.cells import BlockResult, ColumnPlan, FaultyCells, PipelinedCheck
from optimove_provider.records.validate.header import HeaderSchema
from optimove_provider.records.validate.row_sink import RowSink
from optimove_provider.records.validate.undisputed import EditedBlock, edited, undisputed

BLOCK_BYTES = 6 << 20
MAX_PENDING = 2
"""Blocks that are checked while the next one is cut: more would need memory and gain nothing."""
MAX_UNSEEN_CELLS, MAX_UNSEEN_BYTES = 1 << 16, 4 << 20
"""Of rows that were read exactly, and that no observer has seen yet."""

OnProgress = Callable[[int, int], None]
"""Is told the rows and the bytes that were read so far."""


class LineEnds:
    """Whether every row ends as the header does. `findings` has a warning about the first that does not."""

    def __init__(self, crlf: bool) -> None:
        self.crlf = crlf
        self.findings: list[Finding] = []

    def add_other(self, at: Location) -> None:
        """Take a row that ends another way."""
        if self.findings:
            return
        here, there = ("CR and LF", "LF") if self.crlf else ("LF", "CR and LF")
        message = f"mixed line ends: the header ends with {here}, this row is the first that ends with {there}"
        rule = file_rules.LINE_ENDS
        self.findings = [Finding(at.row, at.line, at.byte, "", rule.name, "", message, rule.severity)]


_BLANK = "a blank line: skipped"


def blank_line(line: int, byte: int, message: str, rule: FileRule) -> Finding:
    """A finding about a blank line."""
    return Finding(0, line, byte, "", rule.name, "", message, rule.severity)


def _keep_freed_memory(size: int) -> None:
    """Have the C library keep what is freed, up to twice this size, for what comes next.

    The GNU one gives large pieces back to the system, which must clear each of their pages for the next block; but not
    those smaller than what was freed before, 32 MB at most (mallopt(3), M_MMAP_THRESHOLD).
    """
    np.empty(size, np.uint8)


class RowValidator:
    """Checks the rows of one file, from where its first row starts, and adds what is found to `findings`.

    There are two ways to the same findings: a regular block is checked column by column (`_report_columnar`), a record
    that was read exactly by itself (`_report_exact`). `rewrites`: the row sink is given disputed cells in their
    undisputed form.
    """

    def __init__(
        self,
        stream: LookaheadStream,
        delimiter: str,
        schema: HeaderSchema,
        findings: Findings,
        start: Location,
        row_sink: RowSink | None,
        rewrites: bool = False,
    ) -> None:
        self._stream, self._delimiter, self._schema, self._findings = stream, delimiter, schema, findings
        self._start, self._row_sink, self._rewrites = start, row_sink, rewrites
        self._grammar = Grammar(delimiter)
        self.line_ends = LineEnds(schema.crlf)
        observed = tuple(observer.column for observer in schema.observers)
        self._plan = ColumnPlan(
            schema.width or 0, delimiter, schema.checks, observed, schema.crlf, schema.repeated, schema.strict
        )
        self._unseen: list[tuple[Location, list[bytes]]] = []
        self._unseen_bytes = 0
        self._pending: deque[tuple[RegularBlock, Callable[[], BlockResult]]] = deque()

    def run(self, block_bytes: int, on_progress: OnProgress | None) -> None:
        """Check all rows, `block_bytes` at a time; `on_progress` is called once a block."""
        _keep_freed_memory(5 * block_bytes)
        with ThreadPoolExecutor(1, "check-cells") as thread:
            pipeline = PipelinedCheck(thread, self._plan)
            for item in scan(self._stream, self._delimiter, self._schema.width, self._start, block_bytes):
                if isinstance(item, RegularBlock):
                    self._pending.append((item, pipeline.submit(item.text, item.part)))
                    self._report_pending(MAX_PENDING, on_progress)
                else:
                    self._report_pending(0, on_progress)
                    self._report_exact(item)
            self._report_pending(0, on_progress)
            self._observe_unseen()

    def _report_pending(self, most: int, on_progress: OnProgress | None) -> None:
        """Report the oldest blocks, until at most so many are left."""
        while len(self._pending) > most:
            block, result = self._pending.popleft()
            self._report_columnar(block, result())
            if on_progress:
                on_progress(self._findings.rows, block.end.byte)

    def _report_columnar(self, block: RegularBlock, result: BlockResult) -> None:
        findings = self._findings
        severity = self._schema.severity_of(file_rules.QUOTE_SPACE.severity)
        for column, count in enumerate(np.bincount(result.spaced_columns).tolist()):
            if count:
                findings.count(file_rules.QUOTE_SPACE.name, self._schema.name(column), severity, count)
        for check, cells in zip(self._schema.checks, result.faulty, strict=False):
            for severity, count in cells.counts():
                findings.count(check.rule, self._schema.name(check.column), severity, count)
        if blanks := len(block.part.blanks):
            findings.count(file_rules.BLANK_LINE.name, "", file_rules.BLANK_LINE.severity, blanks)
        self._keep_findings(block, result)
        findings.rows += block.rows
        findings.valid_rows += block.rows - len(result.refused)
        if result.other_line_end is not None:
            self.line_ends.add_other(block.location(result.other_line_end))
        self._observe_columnar(block, result)
        if self._row_sink:
            self._hand_over_columnar(self._row_sink, block, result)

    def _keep_findings(self, block: RegularBlock, result: BlockResult) -> None:
        """Keep findings in the order of their rows, and in a row in the order of the checks, while there is room."""
        found: list[tuple[int, Finding | Fault]] = [
            *self._blank_lines(block),
            *self._unlike_findings(block, result.unlike),
            *self._spaced_faults(block, result),
            *self._cell_faults(result.faulty),
        ]
        found.sort(key=lambda one: one[0])
        at = block.locations(np.array([record for record, one in found if isinstance(one, Fault)], np.int64))
        places = zip(*(numbers.tolist() for numbers in (at.rows, at.lines, at.bytes)), strict=True)
        for _, one in found:
            if isinstance(one, Fault):
                row, line, byte = next(places)
                if self._findings.room(one.severity):
                    self._findings.keep(self._schema.cell_finding(row, line, byte, one))
            else:
                self._findings.keep(one)

    def _blank_lines(self, block: RegularBlock) -> Iterator[tuple[int, Finding]]:
        """As many as there is room for, each before the record that comes after it."""
        records, at = block.blanks(max(self._findings.room(file_rules.BLANK_LINE.severity), 0))
        for record, line, byte in zip(*(numbers.tolist() for numbers in (records, at.lines, at.bytes)), strict=True):
            yield record, blank_line(line, byte, _BLANK, file_rules.BLANK_LINE)

    def _unlike_findings(self, block: RegularBlock, unlike: Sequence[int]) -> Iterator[tuple[int, Finding]]:
        """The findings about records that are no rows like the others: they are counted, too."""
        for index in unlike:
            record, row = self._parsed_again(block, index)
            for finding in self._schema.row_findings(record, row):
                self._findings.count(finding.rule, finding.column, finding.severity)
                yield index, finding

    def _spaced_faults(self, block: RegularBlock, result: BlockResult) -> Iterator[tuple[int, Fault]]:
        """As many as there is room for: all cells may have spaces before their quotes."""
        severity = self._schema.severity_of(file_rules.QUOTE_SPACE.severity)
        room = max(self._findings.room(severity), 0)
        records, columns = result.spaced[:room], result.spaced_columns[:room]
        if not len(records):
            return
        spans = cell_spans(block.text, block.part, self._delimiter, records, columns).tolist()
        for record, column, (start, end) in zip(records.tolist(), columns.tolist(), spans, strict=True):
            yield record, spaced_fault(column, block.text[start:end].decode())._replace(severity=severity)

    def _cell_faults(self, faulty: Sequence[FaultyCells]) -> Iterator[tuple[int, Fault]]:
        """Of each column as many as there is room for: all cells may be faulty."""
        errors, warnings = self._findings.room(ERROR), self._findings.room(WARNING)
        for check, cells in zip(self._schema.checks, faulty, strict=False):
            for index, value, severity in cells.first(errors, warnings):
                yield index, check.fault(value, severity)

    def _parsed_again(self, block: RegularBlock, index: int) -> tuple[Record, int]:
        """A record of a block as the exact reader reads it, and its row."""
        at = block.location(index)
        return one_record(block.between(index, index + 1), self._delimiter, at.line, at.byte), at.row

    def _observe_columnar(self, block: RegularBlock, result: BlockResult) -> None:
        if not self._schema.observers:
            return
        self._observe_unseen()
        locations = block.locations(result.whole)
        for observer, cells in zip(self._schema.observers, result.observed, strict=False):
            observer.see(locations, cells)

    def _hand_over_columnar(self, row_sink: RowSink, block: RegularBlock, result: BlockResult) -> None:
        text: RegularBlock | EditedBlock = block
        if self._rewrites:
            text = edited(block, self._delimiter, self._schema.checks, result.faulty)
        first = 0
        for index in result.refused.tolist():
            row_sink.accept(text.between(first, index), index - first)
            record, row = self._parsed_again(block, index)
            self._hand_over_exact(row_sink, record, row, list(self._schema.row_findings(record, row)))
            first = index + 1
        row_sink.accept(text.between(first, block.rows), block.rows - first)

    def _hand_over_exact(self, row_sink: RowSink, record: Record, row: int, findings: Sequence[Finding]) -> None:
        reasons = [f"{one.column}: {one.message}".removeprefix(": ") for one in findings if one.severity == ERROR]
        if reasons:
            row_sink.refuse(row, record.line, record.raw, reasons)
        elif findings and self._rewrites:
            row_sink.accept(undisputed(record, self._grammar, self._schema.checks), 1)
        else:
            row_sink.accept(record.raw, 1)

    def _report_exact(self, record: Record) -> None:
        if record.is_blank:
            self._findings.add(blank_line(record.line, record.byte, _BLANK, file_rules.BLANK_LINE))
            return
        row = self._findings.rows + 1
        found = list(self._schema.row_findings(record, row))
        self._findings.add_row(found)
        if record.ends_with_crlf is (not self.line_ends.crlf):
            self.line_ends.add_other(Location(row, record.line, record.byte))
        if self._row_sink:
            self._hand_over_exact(self._row_sink, record, row, found)
        if self._schema.is_row(record):
            self._observe_exact(record, row)

    def _observe_exact(self, record: Record, row: int) -> None:
        cells = [record.cells[one.column].encode(errors="surrogateescape") for one in self._schema.observers]
        self._unseen.append((Location(row, record.line, record.byte), cells))
        self._unseen_bytes += len(record.text)
        if len(self._unseen) * (1 + len(cells)) >= MAX_UNSEEN_CELLS or self._unseen_bytes >= MAX_UNSEEN_BYTES:
            self._observe_unseen()

    def _observe_unseen(self) -> None:
        """Show the observers the rows that were read exactly, some at a time: an array of a single cell is mostly
        overhead."""
        if not self._unseen:
            return
        at = [(location.row, location.line, location.byte) for location, _ in self._unseen]
        columns = zip(*(cells for _, cells in self._unseen), strict=True)
        self._unseen, self._unseen_bytes = [], 0
        locations = Locations(*np.array(at, np.int64).T)
        for observer, cells in zip(self._schema.observers, columns, strict=True):
            observer.see(locations, pa.array(cells, pa.binary()))
