"""Rows on their way from the check to the upload: valid ones go on, others are kept with their reasons, or stop it."""

from collections.abc import Callable, Iterable
from typing import BinaryIO, Self

from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.sink import Sink
from optimove_provider.records.to_csv.write import with_commas
from optimove_provider.records.validate.split import Split


class Sieve(Split):
    """Hands valid rows to a sink, with commas, until more than `limit` were refused: then the sink discards.

    With `path`, the refused rows go to that file in staging, which gets an ending by the delimiter; without, the first
    refused row or header is one too many.
    """

    def __init__(self, sink: Sink, staging: Staging, path: str | None, delimiter: str, limit: float) -> None:
        self._kept = _Late(staging, f"{path}{'.tsv' if delimiter == chr(9) else '.csv'}")
        super().__init__(_WithCommas(sink) if delimiter == "\t" else sink, self._kept, delimiter)
        self._sink, self.keeps, self._limit = sink, path is not None, limit
        self.begun = False
        self.source_row: Callable[[int], int] = int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    @property
    def url(self) -> str:
        """The file of the refused rows; empty if there is none."""
        return self._kept.url

    def header(self, text: bytes) -> None:
        """Take the header; a file of refused rows begins with it."""
        self.begun = True
        super().header(text)

    def refuse_header(self, findings: str) -> None:
        """No row can be imported: go on for the sake of the findings, or raise DataError."""
        if self.keeps:
            super().refuse_header(findings)
        self._sink.discard()

    def refuse(self, row: int, line: int, text: bytes, reasons: Iterable[str]) -> None:
        """Take a refused row of the text; kept rows bear the source's numbers."""
        self._refuse(self.source_row(row), line, text, reasons)

    def refuse_unfit(self, row: int, reason: str, text: bytes) -> None:
        """Take a row of the source that has no form in CSV."""
        self._refuse(row, 0, text, [reason])

    def _refuse(self, row: int, line: int, text: bytes, reasons: Iterable[str]) -> None:
        if self.keeps:
            super().refuse(row, line, text, reasons)
        else:
            self.rows_refused += 1
        if self.rows_refused > self._limit:
            self._sink.discard()


class _WithCommas:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, text: bytes, /) -> int:
        return self._sink.write(with_commas(text))


class _Late:
    """A file in staging that is made when something follows its header."""

    def __init__(self, staging: Staging, path: str) -> None:
        self._staging, self._path = staging, path
        self._header = b""
        self._file: BinaryIO | None = None

    @property
    def url(self) -> str:
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
