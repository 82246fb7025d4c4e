"""The rows of a CSV file as text: 00123 stays 00123, an empty cell is the empty text.

Blocks that keep to RFC 4180 are parsed by Arrow; where the text is odd, `csvtext` reads record by record until it is
regular again. A row whose own text is wrong, and whose end is certain, is `Unread`. After an unclosed quote, or bytes
that are not UTF-8, nothing that follows can be trusted: the file is refused.
"""

from typing import BinaryIO

import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.csv_syntax.blocks import RegularPart, parsed, regular_part
from optimove_provider.records.csv_syntax.grammar import Fault
from optimove_provider.records.csv_syntax.lookahead import LookaheadStream
from optimove_provider.records.csv_syntax.reader import Record, RecordReader
from optimove_provider.records.files import delimiter_of
from optimove_provider.records.rows import BATCH_ROWS, Reading, Rows, Unread, one_chunk, refuse_doubled, slices

BLOCK_BYTES = 2 << 20
LONGEST_EXACT_RUN = 4096


def csv_rows(stream: BinaryIO, name: str, block_bytes: int = BLOCK_BYTES) -> Reading:
    """The rows of an unpacked CSV file (a TSV by its name); blank lines are no rows. The first batch is empty.

    Raises DataError for a header that is missing, broken or doubled, for a quote that is never closed or has text
    after it, for NUL, and for bytes that are not UTF-8.
    """
    yield from _CsvFile(LookaheadStream(stream), name, block_bytes)


class _CsvFile:
    """One pass over a file. `_row` counts the rows so far, `_line` is the physical line that comes next."""

    def __init__(self, ahead: LookaheadStream, name: str, block_bytes: int) -> None:
        self._ahead, self._name, self._block_bytes = ahead, name, block_bytes
        self._delimiter = delimiter_of(name)
        self._row, self._line, self._byte = 0, 1, 0
        self._header: list[str] = []

    def __iter__(self) -> Rows:
        self._read_header()
        yield _text_batch(self._header, [])
        wanted, run = self._block_bytes, 1
        while block := self._ahead.look(wanted):
            part = regular_part(block, self._delimiter, self._ahead.is_last(block))
            if part.size:
                yield from self._part(block, part)
            run = 1 if part.size > self._block_bytes // 2 else min(run * 2, LONGEST_EXACT_RUN)
            if part.odd:
                yield from self._exactly(run)
            wanted = self._block_bytes if part.size or part.odd else 2 * len(block)

    def _read_header(self) -> None:
        records = RecordReader(self._ahead, self._delimiter)
        record = next(iter(records), None)
        if record is None or not (record.cells or record.broken):
            raise DataError(f"source {self._name!r} has no header row")
        if record.faults:
            raise self._refusal(record, record.faults[0])
        self._header = record.cells
        refuse_doubled(self._header, f"source {self._name!r}")
        self._go_on_after(records)

    def _go_on_after(self, records: RecordReader) -> None:
        self._ahead.push(records.rest or b"")
        self._line, self._byte = records.line, records.byte

    def _part(self, block: bytes, part: RegularPart) -> Rows:
        """The rows of a regular part; those with another number of cells come in their places."""
        batch, ragged = _parsed(block, part, self._header, self._delimiter)
        taken = before = 0
        for record, cells in ragged:
            yield from slices(batch.slice(taken, record - before))
            taken, before = taken + record - before, record + 1
            yield self._ragged(block[part.start(record) : part.start(record + 1)].decode(), cells)
        yield from slices(batch.slice(taken))
        self._row += len(part.ends)
        self._line, self._byte = self._line + part.lines, self._byte + part.size
        self._ahead.skip(part.size)

    def _ragged(self, text: str, cells: int) -> Unread:
        return Unread(_unended(text), f"{cells} columns, but the header has {len(self._header)}")

    def _exactly(self, run: int) -> Rows:
        """Read an odd record, and on until `run` records in a row were regular."""
        records = RecordReader(self._ahead, self._delimiter, self._line, self._byte)
        records.width = len(self._header)
        rows: list[list[str]] = []
        regular = 0
        for record in records:
            fit = not record.faults and len(record.cells) == len(self._header)
            if fit:
                rows.append(record.cells)
            if rows and (not fit or len(rows) == BATCH_ROWS):
                yield _text_batch(self._header, rows)
                rows = []
            if not fit and (record.cells or record.broken):
                yield self._unread(record)
            self._row += bool(record.cells or record.broken)
            regular = regular + 1 if fit else 0
            if regular >= run and records.rest is not None:
                break
        if rows:
            yield _text_batch(self._header, rows)
        self._go_on_after(records)

    def _unread(self, record: Record) -> Unread:
        for fault in record.faults:
            if _hides_the_end(fault):
                raise self._refusal(record, fault)
        if record.faults:
            return Unread(_unended(record.text), record.faults[0].message)
        return self._ragged(record.text, len(record.cells))

    def _refusal(self, record: Record, fault: Fault) -> DataError:
        row = f", row {self._row + 1}" if self._header else ", header"
        return DataError(f"source {self._name!r}{row}, line {record.line}: {fault.message}")


def _hides_the_end(fault: Fault) -> bool:
    """Whether nobody can say where the record ends: a cell that began with a quote went wrong, or it is no text."""
    return fault.rule in ("encoding", "nul") or (fault.rule == "quote" and fault.value.startswith('"'))


def _unended(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _text_batch(header: list[str], rows: list[list[str]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], names=header)


def _parsed(
    block: bytes, part: RegularPart, header: list[str], delimiter: str
) -> tuple[pa.RecordBatch, list[tuple[int, int]]]:
    """The rows that have the header's number of cells; the other records, with their number of cells."""
    table, ragged = parsed(block, part, delimiter, len(header), range(len(header)))
    # The block is UTF-8 as a whole, and cells begin and end at characters: no need to look at each.
    arrays = [one_chunk(table.column(number)).view(pa.string()) for number in range(len(header))]
    return pa.RecordBatch.from_arrays(arrays, names=header), ragged
