"""Rows as an import sends them: each cell of which the vendor disputes the form in the one that nobody disputes.

That is done in the text itself, so that whatever else stands there stays as it is, byte for byte.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from optimove_provider.records.csv_syntax.blocks import cell_spans
from optimove_provider.records.csv_syntax.grammar import Grammar
from optimove_provider.records.csv_syntax.reader import Record
from optimove_provider.records.csv_syntax.scan import RegularBlock
from optimove_provider.records.validate.cells import FaultyCells
from optimove_provider.records.validate.header import CellCheck


class Edit(NamedTuple):
    """Other text for the bytes, or characters, from one offset to another."""

    start: int
    end: int
    text: bytes


class EditedBlock:
    """A regular block with some of its cells in another form, without spaces before quotes and blank lines."""

    def __init__(self, block: RegularBlock, edits: Iterable[Edit]) -> None:
        self._block, self._edits = block, sorted(edits)

    def between(self, first: int, last: int) -> bytes:
        """The text of the records from one on, up to another."""
        part, text = self._block.part, self._block.text
        start, end = part.start(first), part.start(last)
        inside = self._edits[bisect_left(self._edits, (start,)) : bisect_left(self._edits, (end,))]
        pieces = []
        for edit in inside:
            pieces += [part.plain(text, start, edit.start), edit.text]
            start = edit.end
        return b"".join([*pieces, part.plain(text, start, end)])


def edited(
    block: RegularBlock, delimiter: str, checks: Sequence[CellCheck], faulty: Sequence[FaultyCells]
) -> EditedBlock:
    """A regular block of which these cells are faulty, with the disputed ones among them in the other form."""
    return EditedBlock(
        block,
        (one for check, cells in zip(checks, faulty, strict=False) for one in _edits(block, delimiter, check, cells)),
    )


def _edits(block: RegularBlock, delimiter: str, check: CellCheck, cells: FaultyCells) -> Iterator[Edit]:
    texts = [check.undisputed(value) for value in cells.values]
    other = np.array([text != value for text, value in zip(texts, cells.values, strict=True)], bool)
    if not other.any():
        return
    chosen = np.flatnonzero(other[cells.which] & ~cells.is_error)
    records = cells.records[chosen]
    spans = cell_spans(block.text, block.part, delimiter, records, np.full(len(records), check.column))
    for (start, end), which in zip(spans.tolist(), cells.which[chosen].tolist(), strict=True):
        yield Edit(start, end, texts[which].encode())


def undisputed(record: Record, grammar: Grammar, checks: Sequence[CellCheck]) -> bytes:
    """A record that was read exactly, in the same way; and without the spaces before quoted cells."""
    by_column = {check.column: check for check in checks}
    pieces, start = [], 0
    for column, span in enumerate(grammar.spans(record.text)):
        text = record.text[span.start : span.end]
        other = text.lstrip(" ") if span.spaced else text
        check = by_column.get(column)
        if check and check.undisputed(span.value) != span.value and check.decide(span.value):
            other = check.undisputed(span.value)
        pieces += [record.text[start : span.start], other]
        start = span.end
    return "".join([*pieces, record.text[start:]]).encode(errors="surrogateescape")
