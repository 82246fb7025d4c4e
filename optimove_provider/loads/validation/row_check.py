"""Checking the rows of an import on their way to wherever they go: the options, and the one pass."""

import logging
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, cast

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.registered import Registered, usable
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.report.max_rejected import check_max_rejected
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.first_rows import limit_note, opened_first
from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.destination import MAX_FILE_BYTES
from optimove_provider.loads.upload.sink import Sink
from optimove_provider.loads.validation.csv_file import CsvFile, filed
from optimove_provider.loads.validation.row_sinks import FailFast, KeepRejected, OnRefused, SourceNumbers, no_more
from optimove_provider.records.findings.findings import ERROR, WARNING, Finding, Findings
from optimove_provider.records.observe.defaults import observers_for
from optimove_provider.records.observe.observer import ColumnObserver, ObserverFactory, no_observers
from optimove_provider.records.observe.pii import PII_RULES, pii_names
from optimove_provider.records.rows import FirstRows
from optimove_provider.records.to_csv.write import Chunks, CsvText
from optimove_provider.records.validate.row_validator import OnProgress
from optimove_provider.records.validate.validate import Options, check_csv

log = logging.getLogger(__name__)

ON_INVALID = ("fail", "split")

BLOCK_BYTES = 3 << 20
"""Smaller than for a check alone, since pieces of the file that go up are in memory too."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What an import is to do.

    `on_invalid`: "fail" imports nothing if a row is invalid, "split" imports the valid rows and keeps the others with
    their reasons; `max_rejected` of them may be, or that share of all rows if it is below 1; None for any number.
    `allow_pii` names columns that may look like personal data. A file ends before it has more than `max_file_bytes`.
    `strict`: what the vendor calls right here and wrong there makes a row invalid, and is not rewritten.
    `limit`: so many rows of the source are read, None for all.
    """

    attributes: Sequence[Registered]
    on_invalid: str = "fail"
    max_rejected: float | None = 0
    allow_pii: Collection[str] = ()
    max_file_bytes: int = MAX_FILE_BYTES
    dry_run: bool = False
    strict: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.on_invalid not in ON_INVALID:
            raise SettingsError(f"on_invalid {self.on_invalid!r}: expected {' or '.join(ON_INVALID)}")
        if self.max_rejected is not None:
            check_max_rejected(self.max_rejected)
        if self.max_rejected and self.on_invalid == "fail":
            raise SettingsError('max_rejected= needs on_invalid="split": "fail" imports nothing if a row is invalid')


class RowCheck:
    """One pass over the rows of a source: valid ones go to a sink, and `report` learns of the others.

    `observers` are made for every file besides those that always are. `on_refused` takes the rows that are kept aside.
    `named` is how the names of its files in staging begin, which are beside the report unless it is given; then the
    rows are those of one file of several, `source_file`, which the reasons name.
    """

    def __init__(
        self,
        source: CsvFile | OpenRows,
        options: ImportOptions,
        staging: Staging,
        report: Report,
        observers: ObserverFactory = no_observers,
        on_refused: OnRefused = no_more,
        named: str = "",
        source_file: str = "",
    ) -> None:
        self._source, self._options, self._staging = source, options, staging
        self._named, self._source_file = named or f"reports/{report.load_id}", source_file
        self._report, self._observers, self._on_refused = report, observers, on_refused
        self._has_more = False
        self._progress = Progress(staging.surroundings.monotonic)

    def run(self, sink: Sink) -> None:
        """Check all rows. Raises DataError if nothing may be imported: the findings are its text."""
        options = self._options
        with self._row_sink(sink) as row_sink:
            text = CsvText(usable(options.attributes), row_sink.on_unfit)
            numbered, on_progress = SourceNumbers(row_sink, text.source_row), self._on_progress(row_sink, sink)
            with self._opened(text) as stream:
                findings = check_csv(stream, options.attributes, self._check_options(), on_progress, numbered)
        if told := limit_note(options.limit, self._has_more):
            self._report.note(told)
        _account(findings, text)
        self._report.rows = findings.rows + text.left_out
        with filed(findings, self._staging, f"{self._named}-findings.json") as url:
            self._report.tell_warnings(findings.warnings(), findings.warning_note(url))
            # An empty list has no columns, and is no fault.
            if row_sink.has_header or isinstance(self._source, CsvFile):
                _refuse_pii(findings, url)
                row_sink.judge(findings, self._report, url)

    @contextmanager
    def _row_sink(self, sink: Sink) -> Iterator[FailFast | KeepRejected]:
        delimiter, options = self._delimiter, self._options
        if options.on_invalid == "fail":
            yield FailFast(sink, delimiter)
            return
        path, most = f"{self._named}.rejected", options.max_rejected
        with KeepRejected(sink, self._staging, path, delimiter, most, self._on_refused, self._source_file) as row_sink:
            yield row_sink

    @property
    def _delimiter(self) -> str:
        return self._source.delimiter if isinstance(self._source, CsvFile) else ","

    @contextmanager
    def _opened(self, text: CsvText) -> Iterator[BinaryIO]:
        """The text to check: the file's, or that which is written of the source's rows."""
        if isinstance(self._source, CsvFile):
            with self._source.opened_first(self._options.limit) as (stream, self._has_more):
                yield stream
        else:
            first = FirstRows(self._options.limit)
            with opened_first(self._source, first)() as rows, closing(text.chunks(rows)) as chunks:
                yield cast(BinaryIO, Chunks(chunks))
            self._has_more = first.has_more

    def _check_options(self) -> Options:
        file, allowed = self._source, self._options.allow_pii
        return Options(
            file=file.name if isinstance(file, CsvFile) else self._source_file or "the source's rows",
            strict=self._options.strict,
            rewrites=True,
            delimiter=self._delimiter,
            observers=self._all_observers,
            about_names=partial(pii_names, allowed=allowed),
            max_bytes=sys.maxsize,  # what is too large for one file becomes several
            block_bytes=BLOCK_BYTES,
        )

    def _all_observers(self, names: Sequence[str], attributes: Sequence[Attribute]) -> Sequence[ColumnObserver]:
        allowed = self._options.allow_pii
        usual = observers_for(names, attributes, allowed_pii=allowed, on_compared=self._log_compared)
        return [*usual, *self._observers(names, attributes)]

    def _log_compared(self, done: int, ids: int) -> None:
        if self._progress.due():
            log.info("%d of %d ids compared", done, ids)

    def _on_progress(self, row_sink: FailFast | KeepRejected, sink: Sink) -> OnProgress:
        def log_progress(checked: int, size: int) -> None:
            if self._progress.due():
                refused = f", {row_sink.rows_refused} refused" if row_sink.rows_refused else ""
                log.info(
                    "%s validated, %d bytes, %d bytes uploaded%s", how_many(checked, "row"), size, sink.sent, refused
                )

        return log_progress


def _account(findings: Findings, text: CsvText) -> None:
    """Add to the findings what became of the source's rows on their way to text."""
    if text.left_out:
        findings.findings = [replace(one, row=one.row and text.source_row(one.row)) for one in findings.findings]
        findings.count("unfit", "", ERROR, text.left_out)
    for column, nulls in text.nulls.items():
        if nulls:
            message = f"{nulls} nulls became empty cells: what an import does with those is not documented"
            findings.count("null", column, WARNING, nulls)
            findings.keep(Finding(0, 1, 0, column, "null", "", message, WARNING))


def _refuse_pii(findings: Findings, url: str) -> None:
    found = sorted({column for rule, column, _ in findings.groups if rule in PII_RULES})
    if found:
        raise DataError(
            f"{findings.file}: columns {', '.join(map(repr, found))} look like personal data, which the terms of DCP "
            f"forbid to send. Leave them out or hash them; if one is none, name it in allow_pii=. All findings: {url}"
        )
