"""The cells of a block of CSV text, fast: which of them are wrong.

Arrow parses the regular part of the block, `csvplain` passes over the cells that are right beyond doubt, and what is
left is decided, each value once, by the exact function of its column. All of that is apart from any other block, so
several are looked at side by side; Arrow and NumPy leave Python to the other threads meanwhile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.datatypes import Verdict
from optimove_provider.records.csvblocks import Offsets, Part, parsed, regular_part
from optimove_provider.records.csvtable import CellCheck
from optimove_provider.records.findings import ERROR, WARNING
from optimove_provider.records.rows import one_chunk

Mask = npt.NDArray[np.bool_]

_AS_TEXT = pc.CastOptions(pa.string(), allow_invalid_utf8=True)  # it is valid: `regular_part` saw to that


@dataclass(frozen=True, slots=True)
class Look:
    """What to look for in every block: `width` cells in a record (0: the cells do not matter), how each column's are
    decided, columns to hand out whole, and how records should end: with CR and LF, or with LF alone."""

    width: int
    delimiter: str
    checks: tuple[CellCheck, ...]
    watched: tuple[int, ...]
    crlf: bool


@dataclass(frozen=True, slots=True)
class Wrong:
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

    def first(self, errors: int, warnings: int) -> Iterator[tuple[int, str]]:
        """The records and values of the first errors and of the first warnings, at most so many of each."""
        found = np.concatenate([np.flatnonzero(self.is_error)[:errors], np.flatnonzero(~self.is_error)[:warnings]])
        return ((int(self.records[one]), self.values[self.which[one]]) for one in found)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen in a block: its regular part, and in that the records with another number of cells, the wrong cells
    by check, the records that have an error, the first record that ends in another way than it should.

    `watched` are whole columns, of the records in `numbers`: those that are not ragged.
    """

    part: Part
    ragged: Sequence[int]
    wrong: Sequence[Wrong]
    refused: Offsets
    ends_otherwise: int | None
    numbers: Offsets
    watched: Sequence[pa.BinaryArray]


def look_at(block: bytes, final: bool, look: Look) -> Looked:
    """Look at the regular part of a block, which starts where a record does. `final`: the file ends with it."""
    part = regular_part(block, look.delimiter, final)
    ends_otherwise = part.first_ending(block, not look.crlf)
    nothing = np.empty(0, np.int64)
    if not look.width or not part.size:
        return Looked(part, (), (), nothing, ends_otherwise, nothing, ())
    columns = [*(check.column for check in look.checks), *look.watched]
    table, others = parsed(block, part, look.delimiter, look.width, list(dict.fromkeys(columns)) or [0])
    records, ragged = len(part.ends), [record for record, _ in others]
    numbers = np.delete(np.arange(records), ragged)
    wrong = [_wrong(check, _column(table, check.column), numbers) for check in look.checks]
    refused = np.zeros(records, bool)
    refused[ragged] = True
    for one in wrong:
        refused[one.records[one.is_error]] = True
    watched = [_column(table, column) for column in look.watched]
    return Looked(part, ragged, wrong, np.flatnonzero(refused), ends_otherwise, numbers, watched)


def _column(table: pa.Table, column: int) -> pa.BinaryArray:
    return one_chunk(table.column(str(column)))


def _wrong(check: CellCheck, cells: pa.BinaryArray, numbers: Offsets) -> Wrong:
    """Decide the cells of one column; `numbers` are the records that they are in."""
    doubtful = np.flatnonzero(~check.plain(cells))
    if not len(doubtful):
        return Wrong(doubtful, np.empty(0, bool), (), np.empty(0, np.int32))
    coded = cells.take(pa.array(doubtful)).cast(options=_AS_TEXT).dictionary_encode()
    values = coded.dictionary.to_numpy(zero_copy_only=False).tolist()
    verdicts = [check.judge(value) for value in values]
    which = coded.indices.to_numpy()
    wrong = np.flatnonzero(np.array([verdict is not Verdict.VALID for verdict in verdicts])[which])
    which = which[wrong]
    is_error = np.array([verdict is Verdict.INVALID for verdict in verdicts])[which]
    return Wrong(numbers[doubtful[wrong]], is_error, values, which)
