"""Sending a load to DCP: rows are checked and uploaded in one pass, and nothing is visible unless all of it is right.

A retry of the same load sends only what is missing, and makes no second file.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, cast

import pyarrow as pa

from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.errors import DataError, OptimoveProviderError, SettingsError
from optimove_provider.contract.uploads import Outcome, Verdict
from optimove_provider.loads.checks import SHOWN_FINDINGS, CsvFile, refuse_errors
from optimove_provider.loads.parts import MAX_FILE_BYTES, Destination, Nowhere, Uploads, files_of
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.report import Report
from optimove_provider.loads.sieve import Sieve
from optimove_provider.records.csvcheck import Options, check_csv
from optimove_provider.records.csvout import Chunks, CsvText
from optimove_provider.records.findings import ERROR, WARNING, Finding
from optimove_provider.records.findings import Report as Findings
from optimove_provider.records.pii import PII_RULES, pii_names
from optimove_provider.records.rows import Unread
from optimove_provider.records.watchers import watchers_for

log = logging.getLogger(__name__)

ON_INVALID = ("fail", "split")

Rows = Iterable[pa.RecordBatch | Unread]
OpenRows = Callable[[], AbstractContextManager[Rows]]
"""Opens the source as a context manager that gives its rows: called when they are to be read, which a retry may not
need."""
Samples = Callable[[str, list[dict[str, str]]], object]
"""Takes a file's S3 key and some of its rows before that file becomes visible."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an import is to do.

    `on_invalid`: "fail" imports nothing if a row is invalid, "split" imports the valid rows and keeps the others with
    their reasons; `max_rejected` of them may be, or that share of all rows if it is below 1; None for any number.
    `allow_pii` names columns that may look like personal data. A file ends before it has more than `max_file_bytes`.
    """

    attributes: Sequence[Attribute]
    on_invalid: str = "fail"
    max_rejected: float | None = None
    allow_pii: Collection[str] = ()
    max_file_bytes: int = MAX_FILE_BYTES
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.on_invalid not in ON_INVALID:
            raise SettingsError(f"on_invalid {self.on_invalid!r}: expected {' or '.join(ON_INVALID)}")
        if self.max_rejected is not None and self.max_rejected < 0:
            raise SettingsError(f"max_rejected {self.max_rejected}: expected a number of rows, or a share below 1")
        if self.max_rejected and self.on_invalid == "fail":
            raise SettingsError('max_rejected= needs on_invalid="split": "fail" imports nothing if a row is invalid')


def import_csv(
    source: CsvFile | OpenRows,
    wanted: Wanted,
    to: Destination,
    report: Report,
    samples: Samples | None = None,
) -> None:
    """Check rows and upload them, under names never used before; `report` tells the story.

    Nothing is visible unless every row is valid, or as `wanted` says, and no column looks like personal data, which the
    vendor's terms forbid. A CSV file goes up as it is, unpacked, without blank lines; one with tabs is rewritten with
    commas: every uploader that is known sends .csv files. What is refused is aborted; what broke off, a retry of the
    same load continues.
    """
    began = time.monotonic()
    try:
        _Import(source, wanted, to, report, samples).run()
    except BaseException as error:
        report.state, report.problem, report.accepted = "failed", str(error), 0
        raise
    finally:
        report.seconds = time.monotonic() - began


class ImportFailed(OptimoveProviderError):
    """The vendor refused a file, or rows of it. The text is the history's."""


def settle(report: Report, outcome: Outcome) -> None:
    """Take over how the import itself ended: rows that the history reports failed are rejected.

    Raises ImportFailed if there are any, or if a file failed as a whole.
    """
    if outcome.verdict is Verdict.DONE:
        report.state = "committed"
        return
    if all(entry.status.lower() == "completed" for entry in outcome.entries):
        refused = min(sum(entry.rows_failed or 0 for entry in outcome.entries), report.accepted)
        report.state, report.rejected, report.accepted = (
            "committed",
            report.rejected + refused,
            report.accepted - refused,
        )
    else:
        report.state, report.accepted = "failed", 0
    report.problem = f"the import failed: {outcome.sentence}"
    raise ImportFailed(report.problem)


class _Import:
    def __init__(
        self, source: CsvFile | OpenRows, wanted: Wanted, to: Destination, report: Report, samples: Samples | None
    ) -> None:
        self._source, self._wanted, self._to = source, wanted, to
        self._report, self._samples = report, samples
        self._course = f"loads/{to.load_id}/import.json"
        self._progress = Progress()

    def run(self) -> None:
        """Check and upload, or finish what an earlier try had checked and sent."""
        decided = self._to.staging.read(self._course)
        try:
            if decided:
                log.info("every row was checked and sent by an earlier try of load %s", self._to.load_id)
                self._report.restore(decided)
            elif self._wanted.dry_run:
                self._check(Nowhere())
            else:
                with Uploads(self._to, self._wanted.max_file_bytes) as uploads:
                    self._check(uploads)
                    uploads.finish()
                self._decide(uploads)
            self._complete()
        except OptimoveProviderError as error:
            self._give_up(abort=not error.retry_helps)
            raise

    def _decide(self, uploads: Uploads) -> None:
        """From here on the load can only be completed: the source is not read again."""
        if self._samples:
            for file in uploads.files:
                self._samples(file.key, file.sample.rows())
        self._report.s3_keys = tuple(file.key for file in uploads.files)
        self._to.staging.write(self._course, self._report.as_json())

    def _complete(self) -> None:
        report = self._report
        if self._wanted.dry_run:
            report.state = "planned"
            return
        for file in list(files_of(self._to)):
            if file.key in report.s3_keys:
                file.complete()
            else:  # of an earlier try, when the source held more
                file.abort()
        report.s3_keys = tuple(report.s3_keys)
        report.accepted = report.rows - report.rejected
        report.state = "uploaded" if report.s3_keys else "nothing_to_send"

    def _give_up(self, abort: bool) -> None:
        """Abort what can never be completed; in any case a retry starts from the source."""
        staging = self._to.staging
        if abort:
            for file in list(files_of(self._to)):
                file.abort()
        if staging.read(self._course) is not None:
            staging.remove(self._course)

    def _check(self, sink: Uploads | Nowhere) -> None:
        wanted, load_id = self._wanted, self._to.load_id
        with self._sieve(sink) as sieve:
            text = CsvText(wanted.attributes, sieve.refuse_unfit if sieve.keeps else None)
            sieve.source_row = text.source_row
            with self._opened(text) as stream:
                findings = check_csv(stream, wanted.attributes, self._options(), self._tell(sieve, sink), sieve)
        _account(findings, text)
        url = self._to.staging.write(f"reports/{load_id}-findings.json", findings.as_json())
        self._report.rows = findings.rows + text.left_out
        if sieve.begun or isinstance(self._source, CsvFile):  # an empty list has no columns, and is no fault
            self._judge(findings, sieve, url)

    def _judge(self, findings: Findings, sieve: Sieve, url: str) -> None:
        _refuse_pii(findings, url)
        if not sieve.keeps or not sieve.begun:
            refuse_errors(findings, url)
            return
        report = self._report
        report.rejected, report.rejected_file = sieve.rows_refused, sieve.url
        report.reasons = {rule: n for (rule, _, severity), n in findings.groups.items() if severity == ERROR}
        allowed = _allowed(self._wanted.max_rejected, report.rows)
        if report.rejected > allowed:
            raise DataError(
                f"{report.rejected} of {report.rows} rows are invalid, and max_rejected allows {allowed:g}: nothing is "
                f"imported. The rows, with their reasons: {sieve.url}. All findings: {url}"
            )
        log.info("%s\nFull report: %s", findings.describe(SHOWN_FINDINGS), url)

    def _sieve(self, sink: Uploads | Nowhere) -> Sieve:
        delimiter = self._source.delimiter if isinstance(self._source, CsvFile) else ","
        if self._wanted.on_invalid == "fail":
            return Sieve(sink, self._to.staging, None, delimiter, limit=0)
        most = self._wanted.max_rejected
        # A share is known at the end only.
        limit = math.inf if most is None or 0 < most < 1 else most
        return Sieve(sink, self._to.staging, f"reports/{self._to.load_id}.rejected", delimiter, limit)

    @contextmanager
    def _opened(self, text: CsvText) -> Iterator[BinaryIO]:
        """The text to check: the file's, or that which is written of the source's rows."""
        if isinstance(self._source, CsvFile):
            with self._source.opened() as stream:
                yield stream
        else:
            with self._source() as rows, closing(text.chunks(rows)) as chunks:
                yield cast(BinaryIO, Chunks(chunks))

    def _options(self) -> Options:
        file, allowed = self._source, self._wanted.allow_pii
        return Options(
            file=file.name if isinstance(file, CsvFile) else "the source's rows",
            delimiter=file.delimiter if isinstance(file, CsvFile) else ",",
            watchers=partial(watchers_for, allowed_pii=allowed, compared=self._tell_compared),
            about_names=partial(pii_names, allowed=allowed),
            max_bytes=sys.maxsize,  # what is too large for one file becomes several
        )

    def _tell_compared(self, done: int, ids: int) -> None:
        if self._progress.due():
            log.info("%d of %d ids compared", done, ids)

    def _tell(self, sieve: Sieve, sink: Uploads | Nowhere) -> Callable[[int, int], None]:
        def tell(rows: int, size: int) -> None:
            if self._progress.due():
                refused = f", {sieve.rows_refused} refused" if sieve.rows_refused else ""
                log.info("%d rows validated, %d bytes, %d bytes uploaded%s", rows, size, sink.sent, refused)

        return tell


def _allowed(max_rejected: float | None, rows: int) -> float:
    if max_rejected is None:
        return rows
    return max_rejected if max_rejected >= 1 else max_rejected * rows


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
