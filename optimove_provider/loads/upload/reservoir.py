"""A few rows of a file, kept while its text passes: the first ones, some from anywhere, and the last."""

import csv
import io
import random
from collections import deque
from collections.abc import Iterator
from itertools import islice

FIRST_ROWS = 10
MIDDLE_ROWS = 9

Cells = list[str]


class ReservoirSample:
    """About twenty rows. The text comes as the header, then some whole rows at a time: no row is parsed but those kept,
    and in the end the last piece of text."""

    def __init__(self, seed: int = 0) -> None:
        self._header: Cells = []
        self._first: list[Cells] = []
        self._middle: list[Cells] = []
        self._last, self._pieces = b"", 0
        self._random = random.Random(seed)  # noqa: S311 - chooses rows, guards nothing

    def see(self, text: bytes) -> None:
        """Look at some text."""
        if not self._header:
            self._header = next(_rows(text))
            return
        self._last = text
        if not self._first:
            self._first += islice(_rows(text), FIRST_ROWS)
            return
        self._pieces += 1
        if len(self._middle) < MIDDLE_ROWS:
            self._middle.append(next(_rows(text)))
        elif (place := self._random.randrange(self._pieces)) < MIDDLE_ROWS:
            self._middle[place] = next(_rows(text))

    def rows(self) -> list[dict[str, str]]:
        """The rows, as the cells' text by column; none twice."""
        rows = map(tuple, (*self._first, *self._middle, *deque(_rows(self._last), maxlen=1)))
        return [dict(zip(self._header, cells, strict=True)) for cells in dict.fromkeys(rows)]


def _rows(text: bytes) -> Iterator[Cells]:
    return csv.reader(line.decode() for line in io.BytesIO(text))
