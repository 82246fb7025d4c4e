"""Checks a CSV file against a table's attributes: every fault, with its location, in one pass and in constant memory.

Speed and correctness live in different modules. `csv_syntax.scan` cuts the text into regular blocks and, where it is
odd, into single records; of a block, `prefilter` passes over the cells that are plainly right, and whether another is
faulty, one exact function of its column decides (`cells`, `header`). `row_validator` reports both in order. So the
result is that of reading every row the exact way.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

from optimove_provider.contract.cells.datatypes import MAX_IMPORT_BYTES
from optimove_provider.contract.cells.registered import Registered
from optimove_provider.records.csv_syntax.grammar import Grammar
from optimove_provider.records.csv_syntax.locations import Location
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import Record, RecordReader
from optimove_provider.records.file_kind import HEAD_BYTES, other_kind, unmarked_utf16
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings
from optimove_provider.records.key import DCP_KEY, Key
from optimove_provider.records.observe.observer import ColumnObserver, ObserverFactory, no_observers
from optimove_provider.records.validate.header import HeaderSchema
from optimove_provider.records.validate.row_sink import RowSink
from optimove_provider.records.validate.row_validator import BLOCK_BYTES, OnProgress, RowValidator, blank_line
from optimove_provider.records.validate.undisputed import undisputed


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is checked. `file` is its name in the findings.

    `strict` makes errors of the warnings about cells on which the vendor contradicts itself; `rewrites` hands these to
    the row sink in the form on which it does not. `max_findings` are kept at most, all are counted. A file of
    `max_bytes` or more is an error. Text is looked at `block_bytes` at a time. `observers` see whole columns, and
    `about_names` has something to say of the names in the header. `converted` says how the text was made what it is, if
    the file was another.
    """

    file: str = ""
    strict: bool = False
    rewrites: bool = False
    delimiter: str = ","
    max_findings: int = 10_000
    max_bytes: int = MAX_IMPORT_BYTES
    observers: ObserverFactory = no_observers
    about_names: Callable[[Sequence[str]], Iterable[Finding]] = lambda names: ()
    key: Key = DCP_KEY
    block_bytes: int = BLOCK_BYTES
    converted: str = ""


def check_csv(
    stream: BinaryIO,
    attributes: Sequence[Registered] | None,
    options: Options | None = None,
    on_progress: OnProgress | None = None,
    row_sink: RowSink | None = None,
) -> Findings:
    """Read `stream` (decompressed bytes) to its end and report every fault; a faulty file raises nothing.

    Without `attributes` any column is welcome, as in Opti-X: give `Options(key=Key.of_optix(...))` then. `on_progress`
    is called with the rows and bytes read so far, once a block and at the end. `row_sink` is given every row, and may
    raise DataError for a header with an error. What reading `stream` raises goes through.
    """
    options = options or Options()
    findings = Findings(file=options.file, max_findings=options.max_findings)
    lookahead = LookaheadStream(stream)
    if kind := _other_kind(lookahead.begin(HEAD_BYTES)):
        findings.add(kind)
        findings.bytes = lookahead.drain()
        return findings
    records = RecordReader(lookahead, options.delimiter)
    header = _read_header(records, findings)
    if header:
        schema = HeaderSchema(header, attributes, options.strict, options.observers, options.key, options.delimiter)
        findings.add_all(schema.header_findings())
        about_names = options.about_names(schema.names)
        findings.add_all(replace(one, line=header.line, byte=header.byte) for one in about_names)
        is_wrong = findings.errors > 0
        if row_sink:
            _hand_over_header(row_sink, header, findings, options)
        lookahead.push(records.rest or b"")
        start = Location(1, records.line, records.byte)
        with ExitStack() as stack:
            for observer in schema.observers:
                stack.callback(observer.close)
            rows = RowValidator(lookahead, options.delimiter, schema, findings, start, row_sink, options.rewrites)
            rows.run(options.block_bytes, on_progress)
            findings.add_all(rows.line_ends.findings)
            for observer in schema.observers:
                _add_observed(findings, observer, schema.name(observer.column), options.key)
        findings.valid_rows = 0 if is_wrong else findings.valid_rows  # no row is right under a header that is wrong
    findings.bytes = lookahead.taken
    findings.add_all(_file_findings(findings, records.has_bom, options, header))
    if on_progress:
        on_progress(findings.rows, findings.bytes)
    return findings


def _read_header(records: RecordReader, findings: Findings) -> Record | None:
    for record in records:
        if not record.is_blank:
            return record
        findings.add(
            blank_line(record.line, record.byte, "a blank line before the header", file_rules.EARLY_BLANK_LINE)
        )
    return None


def _hand_over_header(row_sink: RowSink, header: Record, findings: Findings, options: Options) -> None:
    if findings.errors:
        row_sink.refuse_header(findings.describe())
    rewritten = options.rewrites and header.faults and not header.broken
    row_sink.header(undisputed(header, Grammar(options.delimiter), ()) if rewritten else header.raw)


def _add_observed(findings: Findings, observer: ColumnObserver, column: str, key: Key) -> None:
    counts = dict(observer.counts())
    for rule, count in counts.items():
        findings.count(rule, column, ERROR if rule in key.errors else WARNING, count)
    severity = WARNING if key.errors.isdisjoint(counts) else ERROR
    for finding in islice(observer.findings(), min(max(findings.room(severity), 0), sys.maxsize)):
        findings.keep(finding)
    if cost := observer.cost():
        findings.notes.append(cost)


def _other_kind(head: bytes) -> Finding | None:
    """The one finding about a file that is no CSV text, or none that could be read as UTF-8."""
    if kind := other_kind(head):
        return Finding(0, 1, 0, "", file_rules.NOT_CSV.name, "", f"this is no CSV, but {kind}")
    if encoding := unmarked_utf16(head):
        message = (
            f"not UTF-8 but {encoding[:6].upper()} without a byte order mark: save it as UTF-8; "
            f"`validate --encoding {encoding}` reads it"
        )
        return Finding(0, 1, 0, "", file_rules.ENCODING.name, "", message)
    return None


def _file_findings(findings: Findings, has_bom: bool, options: Options, header: Record | None) -> Iterator[Finding]:
    if options.converted:
        rule, message = file_rules.CONVERTED, f"{options.converted}: what is sent must be UTF-8, with commas or tabs"
        yield Finding(0, 1, 0, "", rule.name, "", message, rule.severity)
    if has_bom:
        message = "a byte order mark: nothing says that an import skips it, save the file without one"
        yield Finding(0, 1, 0, "", file_rules.BOM.name, "", message, file_rules.BOM.severity)
    if header is None:
        yield Finding(0, 1, 0, "", file_rules.EMPTY_FILE.name, "", "the file is empty: it needs a header row")
    elif not findings.rows:
        rule, message = file_rules.HEADER_ONLY, "no row follows the header: there is nothing to send"
        yield Finding(0, header.line, header.byte, "", rule.name, "", message, rule.severity)
    if findings.bytes >= options.max_bytes:
        message = f"{findings.bytes} bytes: an import must be under {options.max_bytes}"
        yield Finding(0, 1, 0, "", file_rules.SIZE.name, "", message)
