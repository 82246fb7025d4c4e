"""Checks a CSV file against a table's attributes: every fault, with its place, in one pass and in constant memory.

Speed and correctness live in different places. `csvblocks` cuts the text into blocks and picks out the cells that are
not plainly right; whether a cell is wrong, one exact function of its column decides. Where the text itself is odd,
`csvtext` reads record by record until it is regular again. So the result is that of reading every row the exact way.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from optimove_provider.contract.datatypes import MAX_IMPORT_BYTES, Attribute
from optimove_provider.contract.errors import DataError
from optimove_provider.records.csvblocks import Doubts, Look, Part, doubts, regular_part
from optimove_provider.records.csvtable import DCP_KEY, Key, Table
from optimove_provider.records.csvtext import Ahead, Fault, Record, Records, one_record
from optimove_provider.records.findings import ERROR, WARNING, Finding, Report
from optimove_provider.records.split import Split
from optimove_provider.records.watching import Places, Watch, Watchers, nobody

BLOCK_BYTES = 4 << 20
WORKERS = 2
LONGEST_EXACT_RUN = 4096

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is checked. `file` is its name in the report.

    `strict` makes errors of the warnings about cells on which the vendor contradicts itself. `max_findings` are kept at
    most, all are counted. A file of `max_bytes` or more is an error. Text is looked at `block_bytes` at a time.
    `watchers` see whole columns, and `about_names` has something to say of the names in the header.
    """

    file: str = ""
    strict: bool = False
    delimiter: str = ","
    max_findings: int = 10_000
    max_bytes: int = MAX_IMPORT_BYTES
    watchers: Watchers = nobody
    about_names: Callable[[Sequence[str]], Iterable[Finding]] = lambda names: ()
    key: Key = DCP_KEY
    block_bytes: int = BLOCK_BYTES


def check_csv(
    stream: BinaryIO,
    attributes: Sequence[Attribute] | None,
    options: Options | None = None,
    progress: Progress | None = None,
    split: Split | None = None,
) -> Report:
    """Read `stream` (decompressed bytes) to its end and report every fault; a faulty file raises nothing.

    Without `attributes` any column is welcome, as in Opti-X: give `Options(key=Key.of_optix(...))` then. `progress` is
    called with the rows and bytes read so far, once a block and at the end. `split` is given every row; a header with
    an error raises DataError then, for no row could be called valid. What reading `stream` raises goes through.
    """
    options = options or Options()
    report = Report(file=options.file, max_findings=options.max_findings)
    ahead = Ahead(stream)
    records = Records(ahead, options.delimiter)
    header = _read_header(records, report)
    if header:
        table = Table(header, attributes, options.strict, options.watchers, options.key)
        report.add_all(table.header_findings())
        report.add_all(options.about_names(table.names))
        if split:
            _split_header(split, header, report)
        ahead.push(records.rest or b"")
        place = _Place(0, records.line, records.byte)
        with ExitStack() as stack:
            for watch in table.watches:
                stack.callback(watch.close)
            stack.enter_context(rows := _Rows(ahead, options, table, report, place, progress, split))
            rows.check()
            report.add_all(rows.about_line_ends)
            for watch in table.watches:
                _add_watched(report, watch, table.name(watch.column))
    report.bytes = ahead.taken
    report.add_all(_file_findings(report, records.has_bom, options.max_bytes, has_header=header is not None))
    if progress:
        progress(report.rows, report.bytes)
    return report


def _read_header(records: Records, report: Report) -> Record | None:
    for record in records:
        if record.cells or record.broken:
            return record
        report.add(_blank(record, "a blank line before the header", ERROR))
    return None


def _split_header(split: Split, header: Record, report: Report) -> None:
    if report.errors:
        raise DataError(f"{report.describe()}\nMend the header first: nothing was split")
    split.header(header.raw)


def _add_watched(report: Report, watch: Watch, column: str) -> None:
    for rule, count in watch.counts():
        report.count(rule, column, WARNING, count)
    for finding in islice(watch.findings(), max(report.room, 0)):
        report.keep(finding)
    if cost := watch.cost():
        report.notes.append(cost)


def _blank(record: Record, message: str, severity: str) -> Finding:
    return Finding(0, record.line, record.byte, "", "blank-line", "", message, severity)


def _file_findings(report: Report, has_bom: bool, max_bytes: int, has_header: bool) -> Iterator[Finding]:
    if has_bom:
        message = "a byte order mark: nothing says that an import skips it, save the file without one"
        yield Finding(0, 1, 0, "", "bom", "", message, WARNING)
    if not has_header:
        yield Finding(0, 1, 0, "", "empty-file", "", "the file is empty: it needs a header row")
    if report.bytes >= max_bytes:
        message = f"{report.bytes} bytes: an import must be under {max_bytes}"
        yield Finding(0, 1, 0, "", "size", "", message)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a record starts: the rows before it, its physical line (from 1), its offset."""

    rows: int
    line: int
    byte: int


@dataclass(frozen=True, slots=True)
class _Pending:
    """A part of the text whose doubts are being looked for."""

    place: _Place
    block: bytes
    part: Part
    doubts: "Future[Doubts]"


class _Rows:
    """The rows of one file, from the place after its header on."""

    def __init__(
        self,
        ahead: Ahead,
        options: Options,
        table: Table,
        report: Report,
        place: _Place,
        progress: Progress | None,
        split: Split | None,
    ) -> None:
        self._split = split
        self._crlf: bool | None = table.crlf  # until a row has ended another way
        self.about_line_ends: list[Finding] = []
        self._ahead, self._table, self._report, self._place = ahead, table, report, place
        self._delimiter, self._block_bytes, self._progress = options.delimiter, options.block_bytes, progress
        self._watches = table.watches
        plain = tuple((check.column, check.plain) for check in table.checks)
        self._look = Look(table.width or 0, options.delimiter, plain, tuple(watch.column for watch in self._watches))
        self._pending: deque[_Pending] = deque()
        self._workers = ThreadPoolExecutor(WORKERS, "csvcheck")

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.shutdown(cancel_futures=True)

    def check(self) -> None:
        """Check all rows, regular parts block by block, odd ones record by record."""
        wanted, run = self._block_bytes, 1
        while block := self._ahead.look(wanted):
            part = regular_part(block, self._delimiter, self._ahead.is_last(block))
            if part.size:
                self._submit(block, part)
                self._settle(leave=WORKERS)
            run = 1 if part.size > self._block_bytes // 2 else min(run * 2, LONGEST_EXACT_RUN)
            if part.odd:
                self._settle(leave=0)
                self._read_exactly(run)
            wanted = self._block_bytes if part.size or part.odd else 2 * len(block)
        self._settle(leave=0)

    def _submit(self, block: bytes, part: Part) -> None:
        data = pa.py_buffer(block).slice(0, part.size)
        if self._look.width:
            future = self._workers.submit(doubts, data, len(part.ends), self._look)
        else:  # the header cannot be trusted, so there are no columns
            future = Future()
            future.set_result(Doubts((), (), np.empty(0, np.int64)))
        self._pending.append(_Pending(self._place, block, part, future))
        place = self._place
        self._place = _Place(place.rows + len(part.ends), place.line + part.lines, place.byte + part.size)
        self._ahead.skip(part.size)

    def _settle(self, leave: int) -> None:
        """Report what the oldest parts held, until `leave` of them are left."""
        while len(self._pending) > leave:
            done = self._pending.popleft()
            self._report_part(done, done.doubts.result())
            if self._progress:
                self._progress(self._report.rows, done.place.byte + done.part.size)

    def _report_part(self, done: _Pending, found: Doubts) -> None:
        report, records = self._report, len(done.part.ends)
        kept: list[tuple[int, Fault]] = []
        wrong = [np.array(found.ragged, np.int64)]
        for check, (rows, cells) in zip(self._table.checks, found.cells, strict=False):
            # Cells repeat: each value is decided once a block.
            faults = {cell: check.decide(cell.decode()) for cell in set(cells)}
            for cell, count in Counter(cells).items():
                if fault := faults[cell]:
                    report.count(fault.rule, self._table.column(fault), fault.severity, count)
            errors = {cell for cell, fault in faults.items() if fault and fault.severity == ERROR}
            wrong.append(rows[np.fromiter((cell in errors for cell in cells), bool, len(cells))])
            faulty = ((int(row), fault) for row, cell in zip(rows, cells, strict=True) if (fault := faults[cell]))
            kept += islice(faulty, max(report.room, 0))
        self._keep(done, kept, found.ragged)
        report.rows += records
        self._look_at_line_end(done)
        bad = np.unique(np.concatenate(wrong))
        report.valid_rows += records - len(bad)
        self._watch(done, found)
        if self._split:
            self._split_part(self._split, done, bad.tolist())

    def _look_at_line_end(self, done: _Pending) -> None:
        """Warn once, of the first row that ends another way than the header."""
        if self._crlf is None:
            return
        row = done.part.first_ending(done.block, not self._crlf)
        if row is not None:
            self._warn_of_line_end(self._at(done, row))

    def _warn_of_line_end(self, place: _Place) -> None:
        ways = ("LF", "CR and LF") if not self._crlf else ("CR and LF", "LF")
        message = f"mixed line ends: the header ends with {ways[0]}, this row is the first that ends with {ways[1]}"
        self.about_line_ends = [Finding(place.rows + 1, place.line, place.byte, "", "line-ends", "", message, WARNING)]
        self._crlf = None

    def _split_part(self, split: Split, done: _Pending, bad: list[int]) -> None:
        part, first = done.part, 0
        for row in [*bad, len(part.ends)]:
            split.accept(done.block[part.start(first) : part.start(row)], row - first)
            first = row + 1
            if row < len(part.ends):
                self._split_record(split, self._record(done, row), done.place.rows + row + 1)

    def _split_record(self, split: Split, record: Record, row: int) -> None:
        findings = self._table.row_findings(record, row)
        reasons = [f"{one.column}: {one.message}".removeprefix(": ") for one in findings if one.severity == ERROR]
        if reasons:
            split.refuse(row, record.line, record.raw, reasons)
        else:
            split.accept(record.raw, 1)

    def _watch(self, done: _Pending, found: Doubts) -> None:
        if not self._watches:
            return
        place, part = done.place, done.part
        starts = np.append(0, part.ends)[found.numbers]
        lines = place.line + np.searchsorted(part.newlines, starts)
        places = Places(place.rows + 1 + found.numbers, lines, place.byte + starts)
        for watch, cells in zip(self._watches, found.watched, strict=False):
            watch.see(places, cells)

    def _keep(self, done: _Pending, kept: list[tuple[int, Fault]], ragged: Sequence[int]) -> None:
        """Keep findings in the order of their rows, and in a row in the order of the checks, while there is room."""
        findings = list(self._ragged_findings(done, ragged))
        for row, fault in sorted(kept, key=lambda one: one[0])[: self._report.room]:
            place = self._at(done, row)
            findings.append((row, self._table.cell_finding(place.rows + 1, place.line, place.byte, fault)))
        for _, finding in sorted(findings, key=lambda one: one[0]):
            self._report.keep(finding)

    def _ragged_findings(self, done: _Pending, ragged: Sequence[int]) -> Iterator[tuple[int, Finding]]:
        for row in ragged:
            place = self._at(done, row)
            for finding in self._table.row_findings(self._record(done, row), place.rows + 1):
                self._report.count(finding.rule, finding.column, finding.severity)
                yield row, finding

    def _at(self, done: _Pending, row: int) -> _Place:
        place, part = done.place, done.part
        return _Place(place.rows + row, place.line + part.line(row), place.byte + part.start(row))

    def _record(self, done: _Pending, row: int) -> Record:
        place = self._at(done, row)
        text = done.block[done.part.start(row) : done.part.start(row + 1)]
        return one_record(text, self._delimiter, place.line, place.byte)

    def _watch_record(self, record: Record, row: int) -> None:
        if record.broken or len(record.cells) != self._look.width:
            return
        places = Places(*(np.array([number]) for number in (row, record.line, record.byte)))
        for watch in self._watches:
            cell = record.cells[watch.column].encode(errors="surrogateescape")
            watch.see(places, pa.array([cell], pa.binary()))

    def _read_exactly(self, run: int) -> None:
        """Read an odd record, and on until `run` records in a row were regular."""
        records = Records(self._ahead, self._delimiter, self._place.line, self._place.byte)
        records.width = self._table.width
        rows, regular = self._place.rows, 0
        for record in records:
            if not record.cells and not record.broken:
                self._report.add(_blank(record, "a blank line: skipped", WARNING))
                regular = 0
            else:
                rows += 1
                self._report.add_row(self._table.row_findings(record, rows))
                if self._crlf is not None and record.ends_with_crlf is (not self._crlf):
                    self._warn_of_line_end(_Place(rows - 1, record.line, record.byte))
                if self._split:
                    self._split_record(self._split, record, rows)
                regular = 0 if record.faults else regular + 1
                self._watch_record(record, rows)
            if regular >= run and records.rest is not None:
                break
        self._ahead.push(records.rest or b"")
        self._place = _Place(rows, records.line, records.byte)
