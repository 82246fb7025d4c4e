"""The cells of a block of CSV text, fast: which of them are faulty.

Arrow parses the regular part of the block, `prefilter` passes over the cells that are right beyond doubt, and what is
left is decided, each value once, by the exact function of its column. All of that is apart from any other block, so it
is shared with a second thread.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.contract.cells.datatypes import Verdict
from optimove_provider.records.arrow.types import Integers, Mask
from optimove_provider.records.csv_syntax.blocks import Parsed, RegularPart, parse_columns, spaced_cells
from optimove_provider.records.csv_syntax.reader import one_record
from optimove_provider.records.csv_syntax.repeated_header import RepeatedHeader
from optimove_provider.records.findings.findings import ERROR, WARNING
from optimove_provider.records.rows import one_chunk
from optimove_provider.records.validate.header import CellCheck


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What to look for in every block: `width` cells in a record (0: the cells do not matter), how each column's are
    decided, columns to hand out whole, how records should end: with CR and LF, or with LF alone; the header, which may
    be there once more; and whether a space before an opening quote is an error."""

    width: int
    delimiter: str
    checks: tuple[CellCheck, ...]
    observed: tuple[int, ...]
    crlf: bool
    repeated: RepeatedHeader
    strict: bool

    @property
    def columns(self) -> Sequence[int]:
        """The columns that have to be parsed; one at least, or Arrow would count no records."""
        return list(dict.fromkeys([*(check.column for check in self.checks), *self.observed])) or [0]


@dataclass(frozen=True, slots=True)
class FaultyCells:
    """The faulty cells of one column, in the order of the records: the record (from 0) that each is in, whether it is
    an error and no warning, and which of `values` it is."""

    records: Integers
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
        for severity, mask, most in ((ERROR, self.is_error, errors), (WARNING, ~self.is_error, warnings)):
            found = np.flatnonzero(mask)[:most]
            for record, value in zip(self.records[found].tolist(), self.which[found].tolist(), strict=True):
                yield record, self.values[value], severity


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What was found in the regular part of a block, by records (from 0): the `unlike` ones, which have another number
    of cells or are the header once more, the `faulty` cells by check, the `refused` ones, which have an error, and the
    first with an `other_line_end`; and the cells with spaces before their quotes: `spaced` are the records that they
    are in, `spaced_columns` their columns.

    `observed` are whole columns, of the `whole` records: those that are not unlike.
    """

    unlike: Sequence[int]
    faulty: Sequence[FaultyCells]
    refused: Integers
    other_line_end: int | None
    whole: Integers
    observed: Sequence[pa.BinaryArray]
    spaced: Integers
    spaced_columns: Integers


class PipelinedCheck:
    """Checks blocks, one while another is parsed.

    `thread`, an executor with one, parses: Arrow does that in one go, without Python's lock. To check the cells takes
    many short steps, at each of which two threads might wait for each other; so whoever asks for the result takes them
    himself, unless the thread has nothing to parse.
    """

    def __init__(self, thread: Executor, plan: ColumnPlan) -> None:
        self._thread, self._plan = thread, plan
        self._submitted = self._parsed = 0  # each written by one thread only

    def submit(self, block: bytes, part: RegularPart) -> Callable[[], BlockResult]:
        """Begin to check the regular part of a block. Returns what gives the result; call it once."""
        self._submitted += 1
        parsing = self._thread.submit(self._parse, block, part)

        def result() -> BlockResult:
            found = parsing.result()
            return found if isinstance(found, BlockResult) else _check(block, part, found, self._plan)

        return result

    def _parse(self, block: bytes, part: RegularPart) -> Parsed | BlockResult:
        plan = self._plan
        if not plan.width:
            nothing, spaced = np.empty(0, np.int64), spaced_cells(block, part, plan.delimiter)
            refused = np.unique(spaced[0]) if plan.strict else nothing
            return BlockResult((), (), refused, part.first_ending(block, not plan.crlf), nothing, (), *spaced)
        found = parse_columns(block, part, plan.delimiter, plan.width, plan.columns)
        self._parsed += 1
        return found if self._parsed < self._submitted else _check(block, part, found, plan)


def _check(block: bytes, part: RegularPart, parsed: Parsed, plan: ColumnPlan) -> BlockResult:
    (table, others), records = parsed, len(part.ends)
    unlike = [record for record, _ in others]
    whole = np.delete(np.arange(records), unlike)
    if repeats := _repeats(block, part, table, plan, whole):
        table = table.filter(pa.array(np.isin(np.arange(len(whole)), repeats, invert=True)))
        unlike = sorted([*unlike, *whole[repeats].tolist()])
        whole = np.delete(whole, repeats)
    faulty = [_faulty_cells(check, _column(table, check.column), whole) for check in plan.checks]
    refused = np.zeros(records, bool)
    refused[unlike] = True
    for cells in faulty:
        refused[cells.records[cells.is_error]] = True
    spaced, columns = spaced_cells(block, part, plan.delimiter)
    if unlike:  # they are read once more, with all that is wrong with them
        of_rows = np.isin(spaced, unlike, invert=True)
        spaced, columns = spaced[of_rows], columns[of_rows]
    refused[spaced] |= plan.strict
    observed = [_column(table, column) for column in plan.observed]
    other_line_end = part.first_ending(block, not plan.crlf)
    return BlockResult(unlike, faulty, np.flatnonzero(refused), other_line_end, whole, observed, spaced, columns)


def _repeats(block: bytes, part: RegularPart, table: pa.Table, plan: ColumnPlan, whole: Integers) -> list[int]:
    """The rows of a table that are the header once more."""
    maybe = plan.repeated.candidates(_column(table, plan.columns[0]))
    if not maybe:
        return []
    records = whole[list(maybe)].tolist()
    texts = [block[part.start(record) : part.start(record + 1)] for record in records]
    read = [one_record(text, plan.delimiter, 1, 1) for text in texts]
    return [row for row, record in zip(maybe, read, strict=True) if plan.repeated.is_repeat(record.raw_cells)]


def _column(table: pa.Table, column: int) -> pa.BinaryArray:
    return one_chunk(table.column(str(column)))


def _faulty_cells(check: CellCheck, cells: pa.BinaryArray, records: Integers) -> FaultyCells:
    """Decide the cells of one column; `records` are those that they are in."""
    doubtful = np.flatnonzero(~check.plain(cells))
    if not len(doubtful):
        return FaultyCells(doubtful, np.empty(0, bool), (), np.empty(0, np.int32))
    coded = cells.take(pa.array(doubtful)).view(pa.string()).dictionary_encode()  # UTF-8: `regular_part` saw to that
    values = coded.dictionary.to_pylist()
    verdicts = [check.judge(value) for value in values]
    which = coded.indices.to_numpy()
    chosen = np.flatnonzero(np.array([verdict is not Verdict.VALID for verdict in verdicts])[which])
    which = which[chosen]
    is_error = np.array([verdict is Verdict.INVALID for verdict in verdicts])[which]
    return FaultyCells(records[doubtful[chosen]], is_error, values, which)
