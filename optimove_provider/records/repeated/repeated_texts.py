"""Which of many texts are the same, as they are and in looser forms: exactly, and out of core.

Texts that are the same in any form have the same hash, that of the loosest form, and lie in the same bucket of a file.
Of some buckets at a time the hashes are compared. Mostly none is there twice, and no text is read again. Where some
are, the texts decide: a hash never makes a finding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.types import Bytes, Integers, Mask
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.repeated.dealt import ROW, Dealt, Piece, joined
from optimove_provider.records.repeated.text_hashes import Hashes
from optimove_provider.records.rows import one_chunk

AT_ONCE, BYTES_AT_ONCE = 200_000, 16 << 20
"""How many texts are compared at a time."""
KEPT = 10_000
"""So many rows with something to tell are remembered, unless more are asked for."""

Forms = Callable[[bytes], tuple[bytes, ...]]
"""Ever looser forms of a text: those that have one in common have all in common that are looser."""
OnCompared = Callable[[int, int], None]
"""Is told how many texts were compared, and how many there are."""
IsTold = Callable[[Integers, Integers], Mask]
"""Of the flags and the lengths of texts: which have something to tell, repeated or not."""


def no_forms(text: bytes) -> tuple[bytes, ...]:
    """Texts are the same if they are equal."""
    return ()


def no_progress(done: int, texts: int) -> None:
    """Nothing is told."""


def nothing_told(flags: Integers, lengths: Integers) -> Mask:
    """Only repeated texts are told."""
    return np.zeros(len(flags), bool)


@dataclass(frozen=True, slots=True)
class Compared:
    """`counts`: how many texts are there before as they are; then, for each form, how many are the same in it as an
    earlier one that was not the same yet. `found`: the first rows with something to tell, in order: row, line, byte,
    flags and text, and `first0`, `first1` ...: the row in which it is there first as it is, and in each form. `is_all`:
    there are no more of them."""

    counts: Sequence[int]
    found: pa.Table
    is_all: bool


class RepeatedTexts:
    """Texts with their locations, in a file that nobody else sees: in `folder` (None: where temporary files are).

    `forms` are those in which texts may be the same besides as they are. `on_compared` is told now and then how many of
    how many were compared, some `at_once` at a time.
    """

    def __init__(
        self,
        folder: Path | None = None,
        forms: Forms = no_forms,
        on_compared: OnCompared = no_progress,
        at_once: int = AT_ONCE,
    ) -> None:
        self._dealt, self._forms = Dealt(folder), forms
        self._on_compared, self._at_once = on_compared, at_once

    @property
    def written(self) -> int:
        """The bytes of the file."""
        return self._dealt.written

    def add(self, locations: Locations, texts: pa.BinaryArray, hashes: Hashes, flags: Bytes) -> None:
        """Take the next texts, in the order of their rows, with a hash of the loosest form of each, and a byte that is
        kept with it. Raises NotWritten where the disk is full."""
        if len(texts):
            rows = np.empty(len(texts), ROW)
            rows["row"], rows["line"], rows["byte"] = locations.rows, locations.lines, locations.bytes
            rows["flags"], rows["length"] = flags, pc.binary_length(texts).to_numpy()
            self._dealt.add(hashes, rows, texts)

    def compare(self, most: int = KEPT, is_told: IsTold = nothing_told) -> Compared:
        """Find the texts that are repeated, and remember the first `most` rows with something to tell.

        It may be asked again, for more rows; but nothing may be added after it was."""
        found = _Found(most, np.zeros(1 + len(self._forms(b"")), np.int64))
        self._dealt.deal()
        done, total = 0, int(self._dealt.sizes.sum())
        for low, high in _ranges(self._dealt.sizes.tolist(), self._dealt.nbytes.tolist(), self._at_once):
            self._compare_some(list(self._dealt.pieces(low, high)), found, is_told)
            done += int(self._dealt.sizes[low:high].sum())
            self._on_compared(done, total)
        return found.result()

    def _compare_some(self, pieces: Sequence[Piece], found: "_Found", is_told: IsTold) -> None:
        """Compare what is in some buckets: at once, or in several windows where that is too much, as of a text that is
        repeated very often. Then one of each text goes on to the next window."""
        cuts = _ranges([piece.count for piece in pieces], [piece.nbytes for piece in pieces], self._at_once)
        windows = [pieces[start:end] for start, end in cuts]
        twice = _hashes_twice(windows)
        leaders = _NONE
        for window in windows:
            if (some := _candidates(window, twice, is_told)) is None:
                continue
            some = pa.concat_tables([leaders, some]).combine_chunks() if len(leaders) else some
            firsts = _firsts(some, self._forms)
            found.add(some, firsts, len(leaders), is_told)
            leaders = some.filter(pa.array(firsts[0] == np.arange(len(some)))) if len(windows) > 1 else _NONE

    def close(self) -> None:
        """Remove the file; nothing can be asked for after that."""
        self._dealt.close()


_NUMBERS = ("row", "line", "byte", "flags")
_SCHEMA = pa.schema(
    [("hash", pa.uint64()), *((name, pa.from_numpy_dtype(ROW[name])) for name in _NUMBERS), ("text", pa.binary())]
)
_NONE = _SCHEMA.empty_table()


def _ranges(texts: Sequence[int], nbytes: Sequence[int], at_once: int) -> Iterator[tuple[int, int]]:
    """Cut a sequence of what has so many texts and bytes into ranges that can be held."""
    start = count = size = 0
    for at, (more, bytes_) in enumerate(zip(texts, nbytes, strict=True)):
        if count and (count + more > at_once or size + bytes_ > BYTES_AT_ONCE):
            yield start, at
            start, count, size = at, 0, 0
        count, size = count + more, size + bytes_
    if count:
        yield start, len(texts)


def _hashes_of(window: Sequence[Piece]) -> Hashes:
    return np.concatenate([piece.hashes() for piece in window])


def _hashes_twice(windows: Sequence[Sequence[Piece]]) -> Hashes:
    """The hashes that are there more than once, sorted."""
    before = twice = np.empty(0, np.uint64)
    for window in windows:
        hashes = np.concatenate([before, _hashes_of(window)])
        twice = np.concatenate([twice, _repeats(hashes)])
        before = _distinct(hashes) if len(windows) > 1 else before
    return _distinct(twice)


def _repeats(hashes: Hashes) -> Hashes:
    """The hashes that are there more than once, in any order. Each takes a place that its last bits say, and keeps it
    unless another comes: to sort the few that lose it is a quarter of the work of sorting all."""
    places, mine = (hashes & _LAST_BITS).view(np.int64), np.arange(len(hashes), dtype=np.uint32)
    table = np.empty(int(_LAST_BITS) + 1, np.uint32)
    table[places] = mine
    keepers = table[places]
    losers = np.flatnonzero(keepers != mine)
    lost = hashes[losers]
    is_same = hashes[keepers[losers]] == lost
    others = np.sort(lost[~is_same])
    return np.concatenate([lost[is_same], others[1:][others[1:] == others[:-1]]])


_LAST_BITS = np.uint64((1 << 20) - 1)


def _distinct(hashes: Hashes) -> Hashes:
    hashes = np.sort(hashes)
    return hashes[_starts(hashes)] if len(hashes) else hashes


def _starts(hashes: Hashes) -> Mask:
    """Of hashes that are sorted, the first of each: faster than `np.unique`, which sorts again."""
    return np.append(True, hashes[1:] != hashes[:-1])


def _candidates(window: Sequence[Piece], twice: Hashes, is_told: IsTold) -> pa.Table | None:
    """What has to be compared by its texts, or told; None if there is nothing."""
    wanted = np.zeros(sum(piece.count for piece in window), bool)
    if is_told is not nothing_told:
        wanted = np.concatenate([is_told(rows["flags"], rows["length"]) for rows in map(Piece.rows, window)])
    if 4 * len(twice) > len(wanted):
        wanted[:] = True  # to look for each takes longer than to compare the few that need not be
    elif len(twice):
        hashes = _hashes_of(window)
        wanted |= twice.take(np.searchsorted(twice, hashes), mode="clip") == hashes
    if not wanted.any():
        return None
    rows = [piece.rows() for piece in window]
    texts = pa.concat_arrays([piece.texts(some) for piece, some in zip(window, rows, strict=True)])
    some = joined(rows).compress(wanted)
    columns = [_hashes_of(window)[wanted], *(np.ascontiguousarray(some[name]) for name in _NUMBERS)]
    return pa.table([*columns, texts.filter(pa.array(wanted))], schema=_SCHEMA)


def _firsts(some: pa.Table, forms: Forms) -> list[Integers]:
    """By text, where the same one is first: as it is, and in each form. The same hash makes a group, which is not
    looked at further if all texts in it are equal; within it, texts are in the order of their rows."""
    hashes = some["hash"].to_numpy()
    order = np.argsort(hashes)
    hashes = hashes.take(order)
    starts = np.flatnonzero(_starts(hashes))
    first = np.empty(len(some), np.int64)
    first[order] = np.repeat(np.minimum.reduceat(order, starts), np.diff(np.append(starts, len(some))))
    rest = np.flatnonzero(first != np.arange(len(some)))
    texts = one_chunk(some["text"])
    unlike = pc.not_equal(texts.take(pa.array(rest)), texts.take(pa.array(first[rest])))
    is_mixed = np.zeros(len(some), bool)
    is_mixed[first[rest][unlike.to_numpy(zero_copy_only=False)]] = True
    mixed = np.flatnonzero(is_mixed[first])
    firsts = [first, *(first.copy() for _ in forms(b""))]
    for one, exact in zip(firsts, _exact_firsts(texts.take(pa.array(mixed)), forms), strict=True):
        one[mixed] = mixed[exact]
    return firsts


def _exact_firsts(texts: pa.BinaryArray, forms: Forms) -> Iterator[Integers]:
    coded = texts.dictionary_encode()
    which, distinct = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    at = np.unique(which, return_index=True)[1]
    every = [(text, *forms(text)) for text in distinct]
    for level in range(1 + len(forms(b""))):
        first: dict[bytes, int] = {}
        codes = [first.setdefault(one[level], number) for number, one in enumerate(every)]
        yield at[np.array(codes, np.int64)[which]]


@dataclass(slots=True)
class _Found:
    """What was found so far: `counts` of all, and the first `most` rows, in no order."""

    most: int
    counts: Integers
    _tables: list[pa.Table] = field(default_factory=list)
    _rows: int = 0
    _is_all: bool = True

    def add(self, some: pa.Table, firsts: Sequence[Integers], leaders: int, is_told: IsTold) -> None:
        """Take what is found of some texts, given where each is first; the `leaders` were told before."""
        told = is_told(some["flags"].to_numpy(), pc.binary_length(some["text"]).to_numpy())
        told[:leaders] = False
        tighter = np.arange(len(some))
        for level, first in enumerate(firsts):
            is_repeated = first != tighter
            is_repeated[:leaders] = False
            self.counts[level] += np.count_nonzero(is_repeated)
            told |= is_repeated
            tighter = first
        rows = some["row"].to_numpy()
        found = some.drop_columns(["hash"]).filter(pa.array(told))
        for level, first in enumerate(firsts):
            found = found.append_column(f"first{level}", pa.array(rows[first[told]]))
        self._keep(found)

    def _keep(self, found: pa.Table) -> None:
        self._tables.append(found)
        self._rows += len(found)
        if self._rows > 4 * self.most:
            self._tables = [self.result().found]
            self._rows, self._is_all = self.most, False

    def result(self) -> Compared:
        found = pa.concat_tables(self._tables) if self._tables else _NONE.drop_columns(["hash"])
        is_all = self._is_all and len(found) <= self.most
        return Compared(self.counts.tolist(), found.sort_by("row").slice(0, self.most).combine_chunks(), is_all)
