"""Validating a CSV file before anything of it is sent: for the operator that only checks, and for imports."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO, cast

from optimove_provider.contract.cells.registered import Registered
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import RecordReader
from optimove_provider.records.files import check_delimiter, converted, decompressed, delimiter_of, transcoded
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.validate.validate import Options, check_csv

log = logging.getLogger(__name__)

SHOWN_FINDINGS = 10

OpenFile = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens the same file, from its beginning, each time it is called."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file that can be read more than once. Its name says whether it is packed, and what separates its cells,
    unless `separator` does. `encoding` None means UTF-8."""

    name: str
    packed: OpenFile
    separator: str | None = None
    encoding: str | None = None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file's text, unpacked, as UTF-8."""
        with self.packed() as stream:
            yield transcoded(decompressed(stream, self.name), self.name, self.encoding)

    @contextmanager
    def opened_first(self, limit: int | None) -> Iterator[tuple[BinaryIO, bool]]:
        """The text up to the end of so many rows, of all if it is None, and whether there are more."""
        size = None if limit is None else self._size_of_first(limit)
        with self.opened() as stream:
            yield (stream, False) if size is None else (cast(BinaryIO, _Beginning(stream, size)), True)

    def _size_of_first(self, limit: int) -> int | None:
        """Where the row after so many begins, in bytes; None if there is none. No more than that is read."""
        with self.opened() as stream:
            records = RecordReader(LookaheadStream(stream), self.delimiter)
            rows = (record for record in records if not record.is_blank)
            following = next(islice(rows, limit + 1, None), None)  # after the header
        return following.byte if following else None

    @property
    def delimiter(self) -> str:
        """What separates cells: a tab, a comma, or what was said. SettingsError if that can be none."""
        return delimiter_of(self.name) if self.separator is None else check_delimiter(self.separator)

    @property
    def converted(self) -> str:
        """How the file is read if it is not as its name says."""
        return converted(self.name, self.delimiter, self.encoding)


class _Beginning:
    """The first bytes of a stream."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1) -> bytes:
        taken = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(taken)
        return taken


def check_file(
    file: CsvFile, attributes: Sequence[Registered] | None, options: Options, staging: Staging, report_path: str
) -> tuple[Findings, str]:
    """Validate a whole CSV file; returns what was found and the URL of the full report in staging.

    Raises DataError, with the first findings in its text, if there is an error among them.
    """
    options = replace(options, file=file.name, delimiter=file.delimiter, converted=file.converted)
    progress = Progress(staging.surroundings.monotonic)

    def log_progress(rows: int, size: int) -> None:
        if progress.due():
            log.info("%s validated, %d bytes", how_many(rows, "row"), size)

    with file.opened() as stream:
        findings = check_csv(stream, attributes, options, log_progress)
    with filed(findings, staging, report_path) as url:
        refuse_errors(findings, url)
    return findings, url


@contextmanager
def filed(findings: Findings, staging: Staging, path: str) -> Iterator[str]:
    """Write all findings to staging, and judge them in here, given their URL.

    What is raised in here is raised, though they could not be written; else the reason is, why they could not be.
    """
    problem = None
    try:
        url = staging.write(path, findings.as_json())
    except Exception as error:  # whatever a storage raises
        problem, url = error, f"not written ({error})"
    yield url
    if problem:
        raise problem


def refuse_errors(findings: Findings, url: str) -> None:
    """Raise DataError, with the first findings in its text, if there is an error among them; else log them."""
    if findings.errors:
        raise DataError(f"{findings.describe(SHOWN_FINDINGS)}\nAll findings: {url}")
    log.info("%s\nFull report: %s", findings.describe(SHOWN_FINDINGS), url)
