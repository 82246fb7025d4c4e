"""Checks a CSV file against a table's attributes, row by row, in constant memory: plain rather than fast.

Cells are decided by `contract.datatypes`, quoting and encoding by `records.csvtext`; here are the rules about
the header and the row. They follow the vendor's page "Customer Profiles", "CSV format requirements".
"""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import BinaryIO

from optimove_provider.contract.datatypes import (
    KEY_COLUMN,
    MAX_IMPORT_BYTES,
    Attribute,
    Rule,
    Verdict,
    is_key_column,
)
from optimove_provider.records.csvtext import Fault, Record, Records
from optimove_provider.records.findings import ERROR, MAX_VALUE_CHARACTERS, WARNING, Finding, Report

PROGRESS_ROWS = 65_536
MAX_HINTS = 100
"""Looking for the nearest name is slow: a file that is no CSV at all may have 100,000 wrong names."""

_NAME_RULES = {
    "header-duplicate": "the column is there more than once",
    "header-archived": "the attribute is archived: leave the column out, as if it were not registered",
    "header-unknown": "no attribute has this name",
}


def check_csv(
    stream: BinaryIO,
    attributes: Sequence[Attribute],
    *,
    file: str = "",
    strict: bool = False,
    delimiter: str = ",",
    max_findings: int = 10_000,
    max_bytes: int = MAX_IMPORT_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Read `stream` (decompressed bytes) to its end and report every fault; a faulty file raises nothing.

    `strict` makes errors of the warnings about cells on which the vendor contradicts itself. `max_findings`
    are kept at most, all are counted. A file of `max_bytes` or more is an error. `progress` is called every
    65,536 rows and at the end with the rows and bytes read so far. What reading `stream` raises goes through.
    """
    report = Report(file=file, max_findings=max_findings)
    records = Records(stream, delimiter)
    table: _Table | None = None
    for record in records:
        if not record.cells and not record.broken:
            report.add(_blank(record, before_header=table is None))
        elif table is None:
            table = _Table(record, attributes, strict)
            records.width = None if record.broken else len(record.cells)
            _add_all(report, table.header_findings())
        else:
            _add_row(report, table, record)
            if progress and report.rows % PROGRESS_ROWS == 0:
                progress(report.rows, records.bytes)
    report.bytes = records.bytes
    _add_all(report, _file_findings(records, max_bytes, has_header=table is not None))
    if progress:
        progress(report.rows, report.bytes)
    return report


def _add_all(report: Report, findings: Iterator[Finding]) -> None:
    for finding in findings:
        report.add(finding)


def _add_row(report: Report, table: "_Table", record: Record) -> None:
    report.rows += 1
    errors = report.errors
    _add_all(report, table.row_findings(record, report.rows))
    report.valid_rows += report.errors == errors


def _blank(record: Record, before_header: bool) -> Finding:
    message = "a blank line before the header" if before_header else "a blank line: skipped"
    severity = ERROR if before_header else WARNING
    return Finding(0, record.line, record.byte, "", "blank-line", "", message, severity)


def _file_findings(records: Records, max_bytes: int, has_header: bool) -> Iterator[Finding]:
    if records.has_bom:
        message = "a byte order mark: nothing says that an import skips it, save the file without one"
        yield Finding(0, 1, 0, "", "bom", "", message, WARNING)
    if not has_header:
        yield Finding(0, 1, 0, "", "empty-file", "", "the file is empty: it needs a header row")
    if records.bytes >= max_bytes:
        message = f"{records.bytes} bytes: an import must be under {max_bytes}"
        yield Finding(0, 1, 0, "", "size", "", message)


class _Table:
    """The header of a file, matched with the registered attributes; finds the faults of its rows."""

    def __init__(self, header: Record, attributes: Sequence[Attribute], strict: bool) -> None:
        self._header, self._strict, self._hints = header, strict, MAX_HINTS
        self._names = [] if header.broken else header.cells
        self._active = {one.name: one for one in attributes if not one.archived}
        self._archived = {one.name for one in attributes if one.archived} - self._active.keys()
        self._keys = [i for i, name in enumerate(self._names) if is_key_column(name)]
        self._rules: list[tuple[int, Rule]] = [
            (i, self._active[name].rule)
            for i, name in enumerate(self._names)
            if name in self._active and not is_key_column(name)
        ]

    def header_findings(self) -> Iterator[Finding]:
        """Faults of the header's text, then of its names; names are not judged if the text is broken."""
        for fault in self._header.faults:
            yield self._finding(self._header, 0, fault)
        if self._header.broken:
            return
        if len(self._keys) != 1:
            message = f"expected one column {KEY_COLUMN}, in any case: there are {len(self._keys)}"
            yield self._finding(self._header, 0, Fault("header-customer-id", None, "", message))
        seen: set[str] = set()
        for index, name in enumerate(self._names):
            if rule := self._name_rule(name, seen):
                hint = self._nearest(name) if rule == "header-unknown" else ""
                message = _NAME_RULES[rule] + hint
                yield self._finding(self._header, 0, Fault(rule, index, name, message))
            seen.add(name)

    def _name_rule(self, name: str, seen: set[str]) -> str | None:
        if is_key_column(name):
            return None
        if name in seen:
            return "header-duplicate"
        if name in self._archived:
            return "header-archived"
        return None if name in self._active else "header-unknown"

    def _nearest(self, name: str) -> str:
        """Suggest a name: names are case-sensitive, so one that differs in case only is the nearest."""
        self._hints -= 1
        known = {one.strip().casefold(): one for one in (*self._active, KEY_COLUMN)}
        near = get_close_matches(name.strip().casefold(), known, n=1) if self._hints >= 0 else []
        return f"; did you mean {known[near[0]]!r}?" if near else ""

    def row_findings(self, record: Record, row: int) -> Iterator[Finding]:
        """Faults of one row: of its text, of the number of its cells, of the cells in their order."""
        for fault in record.faults:
            yield self._finding(record, row, fault)
        if record.broken or self._header.broken:
            return
        if len(record.cells) != len(self._names):
            message = f"expected {len(self._names)} cells as in the header, found {len(record.cells)}"
            yield self._finding(record, row, Fault("ragged", None, record.text.rstrip("\r\n"), message))
            return
        yield from self._cell_findings(record, row)

    def _cell_findings(self, record: Record, row: int) -> Iterator[Finding]:
        faulty = {fault.cell for fault in record.faults}
        for index in self._keys[:1]:
            if not record.cells[index].strip():
                message = f"expected a {KEY_COLUMN} in every row"
                yield self._finding(record, row, Fault("customer-id", index, record.cells[index], message))
        for index, rule in self._rules:
            cell = record.cells[index]
            if not cell or index in faulty:
                continue
            verdict = rule.judge(cell, self._strict)
            if verdict is Verdict.INVALID:
                yield self._finding(record, row, Fault(rule.name, index, cell, f"expected {rule.expects}"))
            elif verdict is Verdict.DISPUTED:
                message = f"expected {rule.expects}: {rule.doubt}"
                yield self._finding(record, row, Fault(rule.name, index, cell, message, WARNING))

    def _finding(self, record: Record, row: int, fault: Fault) -> Finding:
        index = len(self._names) if fault.cell is None else fault.cell
        column = _printable(self._names[index]) if index < len(self._names) else ""
        value = _printable(fault.value)
        return Finding(row, record.line, record.byte, column, fault.rule, value, fault.message, fault.severity)


def _printable(text: str) -> str:
    """Write bytes that are not UTF-8 as \\xNN; long text is cut first, as nobody will see its end."""
    cut = text[:MAX_VALUE_CHARACTERS]
    return cut.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
