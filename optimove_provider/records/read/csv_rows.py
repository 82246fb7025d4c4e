"""The rows of a CSV file as text: 00123 stays 00123, an empty cell is the empty text.

Blocks that keep to RFC 4180 are parsed by Arrow; where the text is odd, it comes record by record. A row whose own text
is wrong, and whose end is certain, is `Unread`; a space before an opening quote is no part of the value, and the log
tells of it. After an unclosed quote, or bytes that are not UTF-8, nothing that follows can be trusted: the file is
refused.
"""

import logging
from array import array
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.csv_syntax.blocks import parse_columns
from optimove_provider.records.csv_syntax.grammar import DOUBT, REPEATED, Fault, other_separator, separator_message
from optimove_provider.records.csv_syntax.locations import Location
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import Record, RecordReader
from optimove_provider.records.csv_syntax.repeated_header import RepeatedHeader
from optimove_provider.records.csv_syntax.scan import RegularBlock, enough_bytes, scan
from optimove_provider.records.file_kind import HEAD_BYTES, other_kind, unmarked_utf16
from optimove_provider.records.files import delimiter_of
from optimove_provider.records.rows import BATCH_ROWS, Reading, Rows, Unread, one_chunk, refuse_doubled, small_batches

log = logging.getLogger(__name__)

BLOCK_BYTES = 2 << 20


def csv_rows(stream: BinaryIO, name: str, block_bytes: int = BLOCK_BYTES) -> Reading:
    """The rows of an unpacked CSV file (a TSV by its name); blank lines are no rows. The first batch is empty.

    Raises DataError for a file that is no CSV, for a header that is missing, broken, doubled or of another separator,
    for a quote that is never closed or has text after it, for NUL, and for bytes that are not UTF-8.
    """
    yield from _CsvFile(LookaheadStream(stream), name, block_bytes)


class _CsvFile:
    """One pass over a file. `_row` counts the rows so far."""

    def __init__(self, stream: LookaheadStream, name: str, block_bytes: int) -> None:
        self._stream, self._name, self._block_bytes = stream, name, block_bytes
        self._delimiter = delimiter_of(name)
        self._row = 0
        self._spaced = array("q")
        self._header: list[str] = []
        self._repeated = RepeatedHeader([])

    def __iter__(self) -> Rows:
        self._refuse_other_kind()
        start = self._read_header()
        self._repeated = RepeatedHeader(self._header)
        yield _text_batch(self._header, [])
        rows: list[list[str]] = []
        size, enough = 0, enough_bytes(self._block_bytes, len(self._header))
        for item in scan(self._stream, self._delimiter, len(self._header), start, self._block_bytes):
            cells = self._cells(item)
            if cells:
                rows.append(cells)
                size += len(item.text)
            if rows and (not cells or len(rows) == BATCH_ROWS or size >= enough):
                yield _text_batch(self._header, rows)
                rows, size = [], 0
            if not cells:
                yield from self._block(item) if isinstance(item, RegularBlock) else self._unread(item)
            self._row += item.rows if isinstance(item, RegularBlock) else not item.is_blank
        if rows:
            yield _text_batch(self._header, rows)
        if self._spaced:
            log.warning(
                "source %r: %d rows have a space before an opening quote, the first is row %d: their cells are read "
                "without it",
                self._name,
                len(self._spaced),
                self._spaced[0],
            )

    def _cells(self, item: RegularBlock | Record) -> list[str] | None:
        """The cells of a row that was read exactly; None if this is none, or a faulty one."""
        if isinstance(item, RegularBlock) or item.errors or item.doubt or len(item.cells) != len(self._header):
            return None
        if self._repeated.is_repeat(item.raw_cells):
            return None
        if item.faults:
            self._spaced.append(self._row + 1)
        return item.cells

    def _refuse_other_kind(self) -> None:
        head = self._stream.begin(HEAD_BYTES)
        if kind := other_kind(head):
            raise DataError(f"source {self._name!r} is no CSV, but {kind}")
        if encoding := unmarked_utf16(head):
            raise DataError(
                f"source {self._name!r} is not UTF-8 but {encoding[:6].upper()} without a byte order mark: save it as "
                "UTF-8"
            )

    def _read_header(self) -> Location:
        records = RecordReader(self._stream, self._delimiter)
        record = next(iter(records), None)
        if record is None or record.is_blank:
            raise DataError(
                f"source {self._name!r} has no header row: put the names of the columns into the first line"
            )
        if separator := other_separator(record.text, self._delimiter, record.cells):
            raise DataError(f"source {self._name!r}: {separator_message(separator)}")
        if record.errors:
            raise self._refusal(record, record.errors[0])
        self._header = record.cells
        refuse_doubled(self._header, f"source {self._name!r}")
        self._stream.push(records.rest or b"")
        return Location(1, records.line, records.byte)

    def _block(self, block: RegularBlock) -> Rows:
        """The rows of a regular part; those with another number of cells come in their turn."""
        batch, ragged = _parse_block(block, self._header, self._delimiter)
        batch, unlike = self._without_repeats(block, batch, dict(ragged))
        spaced = np.unique(block.part.spaced_records)
        self._spaced.extend((spaced[np.isin(spaced, list(unlike), invert=True)] + self._row + 1).tolist())
        taken = before = 0
        for record in sorted(unlike):
            yield from small_batches(batch.slice(taken, record - before))
            taken, before = taken + record - before, record + 1
            yield self._ragged(block.between(record, record + 1).decode(), unlike[record])
        yield from small_batches(batch.slice(taken))

    def _without_repeats(
        self, block: RegularBlock, batch: pa.RecordBatch, ragged: dict[int, int]
    ) -> tuple[pa.RecordBatch, dict[int, int]]:
        """The rows that are not the header once more; the other records, with their number of cells."""
        maybe = self._repeated.candidates(batch.column(0).view(pa.binary())) if batch.num_columns else ()
        rows = [row for row in maybe if self._repeated.is_repeat(_raw(batch, row))]
        if not rows:
            return batch, ragged
        whole = np.delete(np.arange(block.rows), list(ragged))
        kept = np.isin(np.arange(batch.num_rows), rows, invert=True)
        return batch.filter(pa.array(kept)), ragged | dict.fromkeys(whole[rows].tolist(), len(self._header))

    def _ragged(self, text: str, cells: int) -> Unread:
        if cells == len(self._header):
            return Unread(_unended(text), REPEATED)
        return Unread(_unended(text), f"{cells} columns, but the header has {len(self._header)}")

    def _unread(self, record: Record) -> Iterator[Unread]:
        """A record that is no row as it should be; nothing if it is a blank line."""
        for fault in record.errors:
            if _hides_the_end(fault):
                raise self._refusal(record, fault)
        if record.errors:
            yield Unread(_unended(record.text), record.errors[0].message)
        elif record.doubt:
            yield Unread(_unended(record.text), DOUBT.format(line=record.doubt))
        elif not record.is_blank:
            yield self._ragged(record.text, len(record.cells))

    def _refusal(self, record: Record, fault: Fault) -> DataError:
        row = f", row {self._row + 1}" if self._header else ", header"
        return DataError(f"source {self._name!r}{row}, line {record.line}: {fault.message}")


def _raw(batch: pa.RecordBatch, row: int) -> list[bytes]:
    return [column[row].as_py().encode() for column in batch.columns]


def _hides_the_end(fault: Fault) -> bool:
    """Whether nobody can say where the record ends: a cell that began with a quote went wrong, or it is no text."""
    return fault.rule in ("encoding", "nul") or (fault.rule == "quote" and fault.value.lstrip(" ").startswith('"'))


def _unended(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _text_batch(header: list[str], rows: list[list[str]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], names=header)


def _parse_block(
    block: RegularBlock, header: list[str], delimiter: str
) -> tuple[pa.RecordBatch, list[tuple[int, int]]]:
    """The rows that have the header's number of cells; the other records, with their number of cells."""
    table, ragged = parse_columns(block.text, block.part, delimiter, len(header), range(len(header)))
    # The block is UTF-8 as a whole, and cells begin and end at characters: no need to look at each.
    arrays = [one_chunk(table.column(number)).view(pa.string()) for number in range(len(header))]
    return pa.RecordBatch.from_arrays(arrays, names=header), ragged
