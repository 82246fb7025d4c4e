"""What takes the rows of a checked file; and one that writes them to two others, valid and refused ones apart."""

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from optimove_provider.contract.wire.errors import DataError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

REASON_COLUMNS = ("refused_row", "refused_line", "refused_because")


class RowSink(Protocol):
    """Is given every row of a file in its order, by a check: blank lines are none."""

    def header(self, text: bytes) -> None:
        """Take the header as it stands in the file."""
        ...

    def refuse_header(self, findings: str) -> None:
        """The header, which comes next, has errors, so that no row is valid. May raise DataError."""
        ...

    def accept(self, text: bytes, rows: int) -> None:
        """Take some valid rows; the last one of a file may lack a line end."""
        ...

    def refuse(self, row: int, line: int, text: bytes, reasons: Iterable[str]) -> None:
        """Take a row with errors: its number (from 1), its line, what it is, and why."""
        ...


class Split:
    """Writes rows byte for byte as they were: the valid ones to `valid`, under the file's header; the refused ones to
    `refused`, each after its row, its line and the reasons, which are columns of their own.

    A record longer than 1 MiB is refused, and of it only the beginning is kept.
    """

    def __init__(self, valid: "SupportsWrite[bytes]", refused: "SupportsWrite[bytes]", delimiter: str = ",") -> None:
        self._valid, self._refused, self._delimiter = valid, refused, delimiter
        self.rows_valid = self.rows_refused = 0

    def header(self, text: bytes) -> None:
        """Write the header to both files."""
        self._valid.write(with_line_end(text))
        self._refused.write(self._cells(REASON_COLUMNS) + with_line_end(text))

    def refuse_header(self, findings: str) -> None:
        """The header has errors: raises DataError, for no row could be called valid."""
        raise DataError(f"{findings}\nMend the header first: nothing was split")

    def accept(self, text: bytes, rows: int) -> None:
        """Write some valid rows."""
        self._valid.write(text)
        self.rows_valid += rows

    def refuse(self, row: int, line: int, text: bytes, reasons: Iterable[str]) -> None:
        """Write a refused row."""
        self._refused.write(self._cells((str(row), str(line), "; ".join(reasons))) + with_line_end(text))
        self.rows_refused += 1

    def _cells(self, cells: Iterable[str]) -> bytes:
        written, end = io.StringIO(), "\n"
        csv.writer(written, delimiter=self._delimiter, lineterminator=end).writerow(cells)
        return (written.getvalue().removesuffix(end) + self._delimiter).encode()


def with_line_end(text: bytes) -> bytes:
    """The last row of a file may lack a line end, and another row may follow it here."""
    return text if text.endswith(b"\n") else text + b"\n"
