"""Where checked rows go: valid ones on to the upload; a refused one stops it, or is kept with its reasons."""

import logging
import math
from collections.abc import Callable, Iterable
from typing import BinaryIO, Self

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.disk.room import keeping
from optimove_provider.loads.report.max_rejected import allowed_of
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.sink import Sink
from optimove_provider.loads.validation.csv_file import SHOWN_FINDINGS, refuse_errors
from optimove_provider.records.findings.findings import ERROR, Findings
from optimove_provider.records.to_csv.write import OnUnfit, with_commas
from optimove_provider.records.validate.row_sink import RowSink, Split, with_line_end

log = logging.getLogger(__name__)


OnRefused = Callable[[int, bytes], None]
"""Takes a refused row as it stands in the text: its number, and what it is."""


def no_more(row: int, text: bytes) -> None:
    """Does nothing with a refused row."""


class FailFast:
    """Hands valid rows to a sink, with commas, until one row or the header is refused: then the sink discards."""

    on_unfit: OnUnfit | None = None
    """A row of the source that has no form in CSV is not taken: writing it fails."""

    def __init__(self, sink: Sink, delimiter: str) -> None:
        self._sink, self._valid = sink, _comma_separated(sink, delimiter)
        self.has_header, self.rows_refused = False, 0

    def header(self, text: bytes) -> None:
        """Take the header."""
        self.has_header = True
        self._valid.write(with_line_end(text))

    def refuse_header(self, findings: str) -> None:
        """No row can be imported: the check goes on for the sake of the findings."""
        self._sink.discard()

    def accept(self, text: bytes, rows: int) -> None:
        """Take some valid rows."""
        self._valid.write(text)

    def refuse(self, row: int, line: int, text: bytes, reasons: Iterable[str]) -> None:
        """Send nothing more; the check goes on for the sake of the findings."""
        self.rows_refused += 1
        self._sink.discard()

    def judge(self, findings: Findings, report: Report, url: str) -> None:
        """Raise DataError if there is an error among the findings, all of which are at `url`."""
        refuse_errors(findings, url)


class KeepRejected:
    """Hands valid rows to a sink, with commas, and keeps the refused ones in a file in staging, which is `path` with an
    ending by the delimiter.

    `max_rejected` rows may be refused, that share of all if it is below 1, or any number if it is None. As soon as
    there are more, the sink discards. `on_refused` is given each refused row too. Reasons name the `source_file`, if
    one is given. Close it.
    """

    def __init__(
        self,
        sink: Sink,
        staging: Staging,
        path: str,
        delimiter: str,
        max_rejected: float | None = 0,
        on_refused: OnRefused = no_more,
        source_file: str = "",
    ) -> None:
        self._in_file = f"{source_file}: " if source_file else ""
        self._file = _LateFile(staging, f"{path}{'.tsv' if delimiter == chr(9) else '.csv'}")
        self._split = Split(_comma_separated(sink, delimiter), self._file, delimiter)
        self._sink, self._max_rejected, self._on_refused = sink, max_rejected, on_refused
        # A share is known at the end only.
        self._limit = math.inf if max_rejected is None or 0 < max_rejected < 1 else max_rejected
        self.has_header = False
        self._unfit: list[tuple[int, str, bytes]] = []  # rows of the text that was read before its header was taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if error is None:
            self._file.close()
            return
        with keeping(error, "to write the refused rows"):
            self._file.close()

    @property
    def rows_refused(self) -> int:
        """How many rows were refused so far."""
        return self._split.rows_refused

    def header(self, text: bytes) -> None:
        """Take the header; a file of refused rows begins with it."""
        self.has_header = True
        self._split.header(text)
        for row, reason, unfit in self._unfit:
            self.on_unfit(row, reason, unfit)
        self._unfit.clear()

    def refuse_header(self, findings: str) -> None:
        """The header has errors: raises DataError, for no row could be called valid."""
        self._split.refuse_header(findings)

    def accept(self, text: bytes, rows: int) -> None:
        """Take some valid rows."""
        self._split.accept(text, rows)

    def refuse(self, row: int, line: int, text: bytes, reasons: Iterable[str]) -> None:
        """Keep a refused row."""
        self._split.refuse(row, line, text, [f"{self._in_file}{reason}" for reason in reasons])
        self._on_refused(row, text)
        if self.rows_refused > self._limit:
            self._sink.discard()

    def on_unfit(self, row: int, reason: str, text: bytes) -> None:
        """Keep a row of the source that has no form in CSV."""
        if self.has_header:
            self.refuse(row, 0, text, [reason])
        else:
            self._unfit.append((row, reason, text))

    def judge(self, findings: Findings, report: Report, url: str) -> None:
        """Tell the report of the refused rows. Raises DataError if they are too many; all findings are at `url`."""
        if not self.has_header:
            refuse_errors(findings, url)
            return
        report.rejected, report.rejected_file = self.rows_refused, self._file.url
        report.reasons = {rule: n for (rule, _, severity), n in findings.groups.items() if severity == ERROR}
        refuse_too_many(report, self._max_rejected, url)
        level = logging.WARNING if report.rejected else logging.INFO  # those rows are not in the file
        log.log(level, "%s\nFull report: %s", findings.describe(SHOWN_FINDINGS), url)


def refuse_too_many(report: Report, max_rejected: float | None, url: str) -> None:
    """Raise DataError if more rows are rejected than that; all findings are at `url`."""
    allowed = report.rows if max_rejected is None else allowed_of(max_rejected, report.rows)
    if report.rejected > allowed:
        raise DataError(
            f"{report.rejected} of {report.rows} rows are invalid, and max_rejected allows {allowed:g}: nothing is "
            f"imported. Mend them, or raise max_rejected. The rows, with their reasons: {report.rejected_file}. All "
            f"findings: {url}"
        )


class SourceNumbers:
    """Hands rows of a text on to another row sink, the refused ones with their numbers in the source of that text."""

    def __init__(self, to: RowSink, source_row: Callable[[int], int]) -> None:
        self._to, self._source_row = to, source_row
        self.header, self.refuse_header, self.accept = to.header, to.refuse_header, to.accept

    def refuse(self, row: int, line: int, text: bytes, reasons: Iterable[str]) -> None:
        """Hand on a refused row."""
        self._to.refuse(self._source_row(row), line, text, reasons)


def _comma_separated(sink: Sink, delimiter: str) -> "Sink | _WithCommas":
    return _WithCommas(sink) if delimiter == "\t" else sink


class _WithCommas:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, text: bytes, /) -> int:
        return self._sink.write(with_commas(text))


class _LateFile:
    """A file in staging that is made when something follows its header."""

    def __init__(self, staging: Staging, path: str) -> None:
        self._staging, self._path = staging, path
        self._header = b""
        self._file: BinaryIO | None = None

    @property
    def url(self) -> str:
        """Where it is; empty if it was not made."""
        return self._staging.url(self._path) if self._file else ""

    def write(self, text: bytes, /) -> int:
        if not self._header:
            self._header = text
            return len(text)
        if self._file is None:
            self._file = self._staging.open_new(self._path)
            self._file.write(self._header)
        return self._file.write(text)

    def close(self) -> None:
        if self._file:
            self._file.close()
