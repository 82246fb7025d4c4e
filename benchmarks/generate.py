"""Writes a CSV file of customer profiles with planted faults, and where each fault is.

    python benchmarks/generate.py 5000000 profiles.csv [--share 0.001] [--wholly-bad points] [--seed 1]

Eight columns of all datatypes; some cells are empty, some notes hold commas, doubled quotes, line feeds or characters
beyond ASCII. `profiles.csv.truth` lists "row,column" (rows from 1, columns from 0) of every planted fault, in the order
of the file. The same arguments give the same bytes. Needs numpy and pyarrow; memory does not depend on the rows.
"""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.attributes import HEADER
from optimove_provider.contract.cells.datatypes import KEY_COLUMN

BAD: dict[str, tuple[str, ...]] = {
    KEY_COLUMN: ("", " ", "  ", "\t"),
    "isVip": ("yes", "no", "0", "1", "y", "t", "null", "TRUE", "False", " true", "false ", "true\n", "truefalse"),
    "points": (
        *("foo", "1.0", "1e3", "1,000", "0x1F", "--1", "-", "007", "-01", "+5", " 1", "1 ", "1\n", "1_000", "\u0661"),
        *("9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999"),
    ),
    "balance": (
        *("foo", "2,3", ".5", "5.", "1.e5", "1e", "NaN", "inf", "1e309", "-1e400", "1e-400", "5e-324", "+1.5", "01.5"),
        *("1.5f", "0x1p3", " 1.5", "1.5\n", "1_0.5", "\u0661.5", "--1.5", "1.5.5"),
    ),
    "birthDate": (
        *("2022-13-01", "2022-02-30", "2023-02-29", "1900-02-29", "2022-00-10", "2022-04-31", "2022-01-00"),
        *("0000-01-01", "2022/05/02", "2022-5-2", "22-05-02", "20220502", "2022-05-02Z", "2022-05-02T10:10:59Z"),
        *(" 2022-05-02", "2022-05-02\n", "2022-05-0\u0662", "2022-05-0:", "2022-01-32", "never"),
    ),
    "lastSeen": (
        *("2022-05-02", "2022-05-02 10:10:59Z", "2022-05-02t10:10:59z", "2022-05-02T55:10:59Z", "2022-05-02T24:00:00Z"),
        *("2022-05-02T10:60:59Z", "2016-12-31T23:59:60Z", "2022-02-30T00:00:00Z", "2022-05-02T10:10Z", "now"),
        *("2022-05-02T10:10:59", "2022-05-02T10:10:59.5Z", "2022-05-02T10:10:59+00:00", "2022-05-02T10:10:59Z\n"),
    ),
    "signupTs": (
        *("-1651676123", "1651676123.0", "1e9", "-0", "007", "00", "+5", " 1", "1651676123\n", "\u0661\u0662"),
        *("100000000000", "1651676123000", "9223372036854775808", "2022-05-02", "never"),
    ),
}
"""Cells that no rule takes without a word, by column."""

ROWS_AT_ONCE = 1 << 16
NOTES = 1 << 14
EMPTY_SHARE = 0.04
_WORDS = (
    "called about her order and asked for a refund, blue size M Zoë Straße 日本語 😀 loyal since 2015; prefers e-mail"
)

Rng = np.random.Generator
Strings = pa.StringArray


def quoted(cell: str) -> str:
    """A cell as it stands in a file."""
    return f'"{cell.replace(chr(34), chr(34) * 2)}"' if set(cell) & set('",\r\n') else cell


def _pool(cells: Sequence[str]) -> Strings:
    return pa.array([quoted(cell) for cell in cells], pa.string())


def _pick(pool: Strings, indices: npt.NDArray[np.int64]) -> Strings:
    return pool.take(pa.array(indices))


def _text(numbers: npt.NDArray[np.int64]) -> Strings:
    return pc.cast(pa.array(numbers), pa.string())


def _joined(separator: str, *parts: Strings) -> Strings:
    return pc.binary_join_element_wise(*parts, separator)


def _note(rng: Rng) -> str:
    words = rng.choice(_WORDS.split(), rng.integers(1, 9))
    kind = rng.random()
    if kind < 0.05:
        words[0] = f'said "{words[0]}"'
    elif kind < 0.06:
        words[0] += f"\n{words[-1]}"
    elif kind < 0.15:
        words[0] += ","
    return " ".join(words)


class Cells:
    """Good cells by column, as they stand in a file."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._notes = _pool([_note(rng) if rng.random() > EMPTY_SHARE else "" for _ in range(NOTES)])
        self._words = _pool(["true", "false"])
        days = np.arange(np.datetime64("1930-01-01"), np.datetime64("2026-01-01"))
        self._days = _pool(np.datetime_as_string(days).tolist())
        times = np.datetime64("1970-01-01") + np.arange(86_400).astype("m8[s]")
        self._times = _pool([f"{time[11:]}Z" for time in np.datetime_as_string(times).tolist()])
        self._cents = _pool([f"{cent:02}" for cent in range(100)])
        self._odd_doubles = _pool(["0", "-0", "7", "100000", "0.00000015", "-5000000000", "123456789012345678.5"])

    def columns(self, rng: Rng, first: int, rows: int) -> list[Strings]:
        """Columns of so many rows, the first of which has the number `first`."""
        ids = _text(np.arange(10**9 + first, 10**9 + first + rows))
        return [
            _joined("", pa.array(np.full(rows, "c")), ids),
            _pick(self._words, rng.integers(0, 2, rows)),
            self._points(rng, rows),
            self._balance(rng, rows),
            _pick(self._days, rng.integers(0, len(self._days), rows)),
            self._datetime(rng, rows),
            _text(rng.integers(100_000_000, 1_800_000_000, rows)),
            _pick(self._notes, rng.integers(0, NOTES, rows)),
        ]

    def _points(self, rng: Rng, rows: int) -> Strings:
        numbers = rng.integers(0, 1_000_000, rows)
        large = rng.random(rows) < 0.02
        numbers[large] = rng.integers(10**18, 2**63 - 1, int(large.sum()))
        numbers[rng.random(rows) < 0.02] *= -1
        return _text(numbers)

    def _balance(self, rng: Rng, rows: int) -> Strings:
        whole = _text(rng.integers(-1_000, 100_000, rows))
        cells = _joined(".", whole, _pick(self._cents, rng.integers(0, 100, rows)))
        odd = rng.random(rows) < 0.002
        return pc.replace_with_mask(
            cells, pa.array(odd), _pick(self._odd_doubles, rng.integers(0, len(self._odd_doubles), int(odd.sum())))
        )

    def _datetime(self, rng: Rng, rows: int) -> Strings:
        days = _pick(self._days, rng.integers(len(self._days) - 3_000, len(self._days), rows))
        return _joined("T", days, _pick(self._times, rng.integers(0, 86_400, rows)))


def _as_float(column: Strings) -> Strings:
    return _joined("", column, pa.array([".0"] * len(column)))


WHOLLY_BAD: dict[str, Callable[[Strings], Strings]] = {
    "isVip": lambda column: pc.if_else(pc.equal(column, "true"), "yes", "no"),
    "points": _as_float,
    "balance": lambda column: _joined("", column, pa.array([" EUR"] * len(column))),
    "birthDate": lambda column: pc.replace_substring(column, "-", "/"),
    "lastSeen": lambda column: pc.replace_substring(column, "T", " "),
    "signupTs": _as_float,
}
"""How a program that writes a column wrongly writes it."""


class Generator:
    """Chunks of one file, and the faults in them."""

    def __init__(self, seed: int, share: float, wholly_bad: str | None) -> None:
        self._seed, self._share, self._wholly_bad = seed, share, wholly_bad
        self._cells = Cells(seed)
        self._bad = [_pool(BAD[name]) if name in BAD else None for name in HEADER]

    def chunk(self, first: int, rows: int) -> tuple[pa.Buffer, npt.NDArray[np.int64]]:
        """The text of rows from number `first` on, and (row, column) of each fault in it."""
        rng = np.random.default_rng([self._seed, first])
        columns, faults = self._cells.columns(rng, first, rows), []
        for index, bad in enumerate(self._bad):
            column, wrong = columns[index], rng.random(rows) < self._share
            if HEADER[index] == self._wholly_bad:
                columns[index], wrong = WHOLLY_BAD[self._wholly_bad](column), np.ones(rows, bool)
            elif bad:
                column = pc.if_else(pa.array(rng.random(rows) < EMPTY_SHARE), "", column) if index else column
                cells = _pick(bad, rng.integers(0, len(bad), int(wrong.sum())))
                columns[index] = pc.replace_with_mask(column, pa.array(wrong), cells)
            if bad:
                places = np.flatnonzero(wrong)
                faults.append(np.column_stack((places + first, np.full(len(places), index))))
        lines = _joined("", _joined(",", *columns), pa.array(["\n"] * rows))
        found = np.concatenate(faults)
        return lines.buffers()[2], found[np.lexsort((found[:, 1], found[:, 0]))]

    def chunks(self, rows: int) -> Iterator[tuple[pa.Buffer, npt.NDArray[np.int64]]]:
        """All chunks of a file."""
        for first in range(1, rows + 1, ROWS_AT_ONCE):
            yield self.chunk(first, min(ROWS_AT_ONCE, rows + 1 - first))


def generate(
    out: BinaryIO,
    truth: BinaryIO | None,
    rows: int,
    seed: int = 1,
    share: float = 0.001,
    wholly_bad: str | None = None,
) -> None:
    """Write a file of so many rows, and the places of its faults."""
    out.write((",".join(HEADER) + "\n").encode())
    for text, faults in Generator(seed, share, wholly_bad).chunks(rows):
        out.write(text)
        if truth:
            lines = io.StringIO()
            csv.writer(lines, lineterminator="\n").writerows(faults.tolist())
            truth.write(lines.getvalue().encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("file", help="- for standard output, then without the places")
    parser.add_argument("--share", type=float, default=0.001, help="of the cells of a column that are bad")
    parser.add_argument("--wholly-bad", choices=WHOLLY_BAD, help="a column of which every cell is bad")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with ExitStack() as files:
        standard = given.file == "-"
        out = sys.stdout.buffer if standard else files.enter_context(open(given.file, "wb"))
        truth = None if standard else files.enter_context(open(f"{given.file}.truth", "wb"))
        generate(out, truth, given.rows, given.seed, given.share, given.wholly_bad)


if __name__ == "__main__":
    main()
