"""The cells of a block of CSV text, fast: which of them are wrong.

Arrow parses the regular part of the block, `csvplain` passes over the cells that are right beyond doubt, and what is
left is decided, each value once, by the exact function of its column. All of that is apart from any other block, so it
is shared with a thread beside the one that reads.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.contract.cells.datatypes import Verdict
from optimove_provider.records.arrow.types import Mask, Offsets
from optimove_provider.records.csv_syntax.blocks import Parsed, RegularPart, parsed
from optimove_provider.records.findings.findings import ERROR, WARNING
from optimove_provider.records.rows import one_chunk
from optimove_provider.records.validate.header import CellCheck


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What to look for in every block: `width` cells in a record (0: the cells do not matter), how each column's are
    decided, columns to hand out whole, and how records should end: with CR and LF, or with LF alone."""

    width: int
    delimiter: str
    checks: tuple[CellCheck, ...]
    watched: tuple[int, ...]
    crlf: bool

    @property
    def columns(self) -> Sequence[int]:
        """The columns that have to be parsed; one at least, or Arrow would count no records."""
        return list(dict.fromkeys([*(check.column for check in self.checks), *self.watched])) or [0]


@dataclass(frozen=True, slots=True)
class FaultyCells:
    """The wrong cells of one column, in the order of the records: the record (from 0) that each is in, whether it is an
    error and no warning, and which of `values` it is."""

    records: Offsets
    is_error: Mask
    values: Sequence[str]
    which: npt.NDArray[np.int32]

    def counts(self) -> Iterator[tuple[str, int]]:
        """How many errors and how many warnings there are, those first of which the first cell is."""
        errors = int(np.count_nonzero(self.is_error))
        counts = [(ERROR, errors), (WARNING, len(self.records) - errors)]
        if len(self.records) and not self.is_error[0]:
            counts.reverse()
        return ((severity, count) for severity, count in counts if count)

    def first(self, errors: int, warnings: int) -> Iterator[tuple[int, str, str]]:
        """The records, values and severities of the first errors and warnings, at most so many of each."""
        for severity, wanted, most in ((ERROR, self.is_error, errors), (WARNING, ~self.is_error, warnings)):
            found = np.flatnonzero(wanted)[:most]
            for record, value in zip(self.records[found].tolist(), self.which[found].tolist(), strict=True):
                yield record, self.values[value], severity


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What was seen in the regular part of a block: the records with another number of cells, the wrong cells by check,
    the records that have an error, the first record that ends in another way than it should.

    `watched` are whole columns, of the records in `numbers`: those that are not ragged.
    """

    ragged: Sequence[int]
    wrong: Sequence[FaultyCells]
    refused: Offsets
    ends_otherwise: int | None
    numbers: Offsets
    watched: Sequence[pa.BinaryArray]


class PipelinedCheck:
    """Looks at blocks beside the thread that asks.

    `thread`, an executor with one, parses: Arrow does that in one go, without Python's lock. To look at the cells takes
    many short steps, at each of which two threads might wait for each other; so whoever asks for the result takes them
    himself, unless the thread has nothing to parse.
    """

    def __init__(self, thread: Executor, look: ColumnPlan) -> None:
        self._thread, self._look = thread, look
        self._asked = self._parsed = 0  # each written by one thread only

    def look_at(self, block: bytes, part: RegularPart) -> Callable[[], BlockResult]:
        """Begin to look at the regular part of a block. Returns what gives the result; call it once."""
        self._asked += 1
        begun = self._thread.submit(self._begin, block, part)

        def looked() -> BlockResult:
            found = begun.result()
            return found if isinstance(found, BlockResult) else _look_at(block, part, found, self._look)

        return looked

    def _begin(self, block: bytes, part: RegularPart) -> Parsed | BlockResult:
        look = self._look
        if not look.width:
            nothing = np.empty(0, np.int64)
            return BlockResult((), (), nothing, part.first_ending(block, not look.crlf), nothing, ())
        found = parsed(block, part, look.delimiter, look.width, look.columns)
        self._parsed += 1
        return found if self._parsed < self._asked else _look_at(block, part, found, look)


def _look_at(block: bytes, part: RegularPart, parsed: Parsed, look: ColumnPlan) -> BlockResult:
    (table, others), records = parsed, len(part.ends)
    ragged = [record for record, _ in others]
    numbers = np.delete(np.arange(records), ragged)
    wrong = [_wrong(check, _column(table, check.column), numbers) for check in look.checks]
    refused = np.zeros(records, bool)
    refused[ragged] = True
    for one in wrong:
        refused[one.records[one.is_error]] = True
    watched = [_column(table, column) for column in look.watched]
    ends_otherwise = part.first_ending(block, not look.crlf)
    return BlockResult(ragged, wrong, np.flatnonzero(refused), ends_otherwise, numbers, watched)


def _column(table: pa.Table, column: int) -> pa.BinaryArray:
    return one_chunk(table.column(str(column)))


def _wrong(check: CellCheck, cells: pa.BinaryArray, numbers: Offsets) -> FaultyCells:
    """Decide the cells of one column; `numbers` are the records that they are in."""
    doubtful = np.flatnonzero(~check.plain(cells))
    if not len(doubtful):
        return FaultyCells(doubtful, np.empty(0, bool), (), np.empty(0, np.int32))
    coded = cells.take(pa.array(doubtful)).view(pa.string()).dictionary_encode()  # UTF-8: `regular_part` saw to that
    values = coded.dictionary.to_pylist()
    verdicts = [check.judge(value) for value in values]
    which = coded.indices.to_numpy()
    wrong = np.flatnonzero(np.array([verdict is not Verdict.VALID for verdict in verdicts])[which])
    which = which[wrong]
    is_error = np.array([verdict is Verdict.INVALID for verdict in verdicts])[which]
    return FaultyCells(numbers[doubtful[wrong]], is_error, values, which)
