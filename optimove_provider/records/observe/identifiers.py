"""Warnings about the ids of a file: what a spreadsheet did to them, and ids that are there more than once.

The damage to a single id shows at once. Whether an id was there before shows only at the end, so all ids are written
to files with their locations. DuckDB compares them then: it keeps to its memory limit and works on disk beyond that.
Only ids whose hash occurs more than once are compared, as whole texts: the hash never decides.
"""

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optimove_provider.records.arrow.duck import open_duck
from optimove_provider.records.arrow.types import Bytes, Integers, Mask
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import WARNING, Finding
from optimove_provider.records.observe.observer import CellBuffer

MAX_MEMORY = "96MB"
"""Of DuckDB; a process needs some 60 MB more for it."""
AT_ONCE = 3_000_000
"""How many ids DuckDB compares at a time. It keeps something in memory about each block that it writes to disk, so with
128 MB it could not take 100 million at once."""

_MESSAGES = {
    file_rules.ID_LEADING_ZEROS.name: "shorter than the others, which have {width} digits: leading zeros may be lost",
    file_rules.ID_EXPONENT.name: "a number with an exponent, as a spreadsheet writes it: digits of the id are lost",
    file_rules.ID_PADDING.name: "white space around the id is part of it",
    file_rules.ID_CASE.name: "differs only in case from the id in row {first_case}",
    file_rules.ID_DUPLICATE.name: "the same id as in row {first}",
}
ID_RULES = tuple(rule.name for rule in file_rules.FILE_RULES["Ids"])

_DIGITS = "^[0-9]{1,64}$"
_MAX_WIDTH = 64
_EXPONENT = r"^\s*[+-]?[0-9](?:[.,][0-9]+)?[eE][+-]?[0-9]{1,3}\s*$"
# Arrow matches binaries byte by byte, so these see the bytes of UTF-8.
_MAYBE_PADDED = r"^[\x00-\x20\x80-\xff]|[\x00-\x20\x80-\xff]$"
_MAYBE_CASED = r"[A-Z\x80-\xff]"
_NOT_ASCII = r"[\x80-\xff]"
_AS_TEXT = pc.CastOptions(pa.string(), allow_invalid_utf8=True)

# One bit each, in a byte of flags that is stored with the id.
_UNPADDED, _HAS_EXPONENT, _PADDED = 1, 2, 4
_RULE_OF_BIT = {
    _UNPADDED: file_rules.ID_LEADING_ZEROS.name,
    _HAS_EXPONENT: file_rules.ID_EXPONENT.name,
    _PADDED: file_rules.ID_PADDING.name,
}

OnCompared = Callable[[int, int], None]
"""Is told how many ids were compared, and how many there are."""


def no_progress(done: int, ids: int) -> None:
    """Nothing is told."""


class Widths:
    """Of how many digits the ids are, and what that says about leading zeros that are lost.

    Nothing tells a 7 that was 007 from a 7, and a counter has short numbers too, so only this counts as a trace: at
    least 99 % of the ids are digits and nothing else, the most frequent width is the greatest, and

    * half of the ids have it, some of which begin with 0: so the ids are padded, and a shorter one is not; or
    * 95 % of at least 20 ids have it, and it is 5 or more: so few shorter ones are rather damaged than older; or
    * 80 % of at least 100 ids have it, none begins with 0, but with each of the digits 1 to 9 at least 5 % do: so these
      are random digits, a tenth of which began with 0. A counter shows this only just before it needs one digit more.

    The last two ask for fewer ids than a tenth of all numbers of that width: otherwise a counter is the likely source.
    Suspected are the ids that are shorter and do not begin with 0 (a lone 0 may be what is left of zeros).
    """

    def __init__(self) -> None:
        self.ids = 0
        self._numbers = np.zeros((_MAX_WIDTH + 1, 10), np.int64)  # by width and first digit

    def add(self, numbers: pa.BinaryArray, ids: int) -> None:
        """Count ids, of which these are numbers."""
        first = pc.binary_slice(numbers, 0, 1).cast(pa.string()).cast(pa.int64()).to_numpy(zero_copy_only=False)
        width = pc.binary_length(numbers).to_numpy(zero_copy_only=False)
        counted = np.bincount(width * np.int64(10) + first, minlength=self._numbers.size)
        self._numbers += counted.reshape(self._numbers.shape)
        self.ids += ids

    def full(self) -> int | None:
        """The width that ids have unless they lost zeros; None if nothing speaks for a loss."""
        by_width = self._numbers.sum(axis=1)
        numbers, width = int(by_width.sum()), int(by_width.argmax())
        if not numbers or numbers < 0.99 * self.ids or by_width[width + 1 :].any():
            return None
        return width if self._is_trace(width, int(by_width[width]), numbers) else None

    def _is_trace(self, width: int, full: int, numbers: int) -> bool:
        if self._numbers[width, 0]:
            return full >= numbers / 2
        few_shorter = width >= 5 and numbers >= 20 and full >= 0.95 * numbers
        as_random = full >= 100 and full >= 0.8 * numbers and int(self._numbers[width, 1:].min()) >= 0.05 * full
        return bool((few_shorter or as_random) and numbers < 10**width / 10)

    def suspected(self) -> int:
        """How many ids seem to have lost zeros."""
        width = self.full()
        if width is None:
            return 0
        lone_zeros = int(self._numbers[1, 0]) if width > 1 else 0
        return int(self._numbers[:width, 1:].sum()) + lone_zeros


class KeyObserver:
    """Warns about the ids in one column, `column` (from 0), which has the name `name`.

    Empty ids and those of white space alone are left out: another rule refuses them. Ids are the same if their bytes
    are; they differ only in case if `str.casefold` makes them the same (so do "ß" and "ss"). Of ids that are there
    several times, each row but the first is a finding.

    The ids are written to `folder` (an existing one; without it the system's folder for temporary files), which
    `close` empties again. `max_memory` bounds DuckDB, which compares some `at_once` ids at a time; `on_compared` is
    told now and then how many of how many it has done. OSError or duckdb.Error if the disk is full.
    """

    def __init__(
        self,
        column: int,
        name: str,
        folder: Path | None = None,
        max_memory: str = MAX_MEMORY,
        at_once: int = AT_ONCE,
        on_compared: OnCompared = no_progress,
    ) -> None:
        self.column = column
        self._name = name
        self._buffer = CellBuffer()
        self._widths = Widths()
        self._flag_counts = dict.fromkeys((file_rules.ID_EXPONENT.name, file_rules.ID_PADDING.name), 0)
        self._ids = _Ids(folder, max_memory, at_once, on_compared)

    def see(self, locations: Locations, cells: pa.BinaryArray) -> None:
        """Look at the next ids. ValueError after the findings were asked for."""
        if self._ids.is_compared:
            raise ValueError("the ids were compared already")
        if self._buffer.add(locations, cells):
            self._store()

    def _store(self) -> None:
        locations, cells = self._buffer.take()
        if not len(cells):
            return
        numbers = _mask(cells, _DIGITS)
        flags, blank = _flags(cells, numbers)
        folded = pa.nulls(len(cells), pa.binary()) if numbers.all() else _folded(cells)
        self._widths.add(cells.filter(pa.array(numbers)), len(cells) - int(blank.sum()))
        self._flag_counts[file_rules.ID_EXPONENT.name] += int(np.count_nonzero(flags & _HAS_EXPONENT))
        self._flag_counts[file_rules.ID_PADDING.name] += int(np.count_nonzero(flags & _PADDED))
        columns = [pa.array(one) for one in (locations.rows, locations.lines, locations.bytes, cells, folded, flags)]
        self._ids.add([one.filter(pa.array(~blank)) for one in columns] if blank.any() else columns)

    def _compare(self) -> tuple[int, int]:
        self._store()
        return self._ids.compare(self._widths.full())

    def counts(self) -> Iterator[tuple[str, int]]:
        """How many warnings of each rule there are, those without any left out."""
        cases, duplicates = self._compare()
        found = {file_rules.ID_LEADING_ZEROS.name: self._widths.suspected(), **self._flag_counts}
        found |= {file_rules.ID_CASE.name: cases, file_rules.ID_DUPLICATE.name: duplicates}
        return ((rule, count) for rule, count in found.items() if count)

    def findings(self) -> Iterator[Finding]:
        """The warnings in the order of the rows, in a row in that of ID_RULES."""
        self._compare()
        for found in self._ids.found():
            yield from self._row_findings(**found)

    def _row_findings(
        self, row: int, line: int, byte: int, id: bytes, flags: int, first: int | None, first_case: int | None
    ) -> Iterator[Finding]:
        value = id.decode("utf-8", "backslashreplace")
        rules = [rule for bit, rule in _RULE_OF_BIT.items() if flags & bit]
        rules += [file_rules.ID_CASE.name] if first_case and first_case != first else []
        rules += [file_rules.ID_DUPLICATE.name] if first and first != row else []
        for rule in rules:
            message = _MESSAGES[rule].format(width=self._widths.full(), first=first, first_case=first_case)
            yield Finding(row, line, byte, self._name, rule, value, message, WARNING)

    @property
    def spilled_bytes(self) -> int:
        """The most bytes that were seen on disk between two steps of the comparison."""
        return self._ids.spilled_bytes

    def cost(self) -> str:
        """What comparing the ids cost, in a sentence."""
        return (
            f"{self._widths.ids:,} ids compared in {self._ids.seconds:.1f} s, "
            f"with {self.spilled_bytes / 1e6:,.1f} MB on disk"
        )

    def close(self) -> None:
        """Remove the files; nothing can be asked for after that."""
        self._ids.close()


def _mask(cells: pa.BinaryArray, pattern: str) -> Mask:
    return np.asarray(pc.match_substring_regex(cells, pattern).to_numpy(zero_copy_only=False))


def _flags(cells: pa.BinaryArray, numbers: Mask) -> tuple[Bytes, Mask]:
    """The bits of each id, and which are blank."""
    flags = np.zeros(len(cells), np.uint8)
    flags[numbers] = _UNPADDED
    flags[_mask(cells, "^0[0-9]")] &= ~np.uint8(_UNPADDED)
    blank = np.zeros(len(cells), bool)
    others = np.flatnonzero(~numbers)
    if len(others):
        texts = cells.take(pa.array(others))
        flags[others[_mask(texts, _EXPONENT)]] |= _HAS_EXPONENT
        for index in others[_mask(texts, _MAYBE_PADDED) | (pc.binary_length(texts).to_numpy() == 0)]:
            text = cells[index].as_py().decode("utf-8", "surrogateescape")
            blank[index] = not text.strip()
            flags[index] |= _PADDED if text.strip() != text else 0
    flags[blank] = 0
    return flags, blank


def _folded(cells: pa.BinaryArray) -> pa.BinaryArray:
    """The ids without their case; null where nothing in an id has case."""
    cased = pc.match_substring_regex(cells, _MAYBE_CASED)
    if not pc.any(cased).as_py():
        return pa.nulls(len(cells), pa.binary())
    lower = pc.ascii_lower(pc.cast(cells, options=_AS_TEXT)).cast(pa.binary())
    folded = pc.if_else(cased, lower, pa.scalar(None, pa.binary()))
    foreign = pc.match_substring_regex(cells, _NOT_ASCII)
    if pc.any(foreign).as_py():
        values = [_casefold(one) for one in cells.filter(foreign).to_pylist()]
        folded = pc.replace_with_mask(folded, foreign, pa.array(values, pa.binary()))
    return folded


def _casefold(cell: bytes) -> bytes:
    return cell.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")


_BUCKETS = 64

# Each step makes a Parquet file, named first, from the earlier ones, and is small unless ids are repeated. Each can
# work on disk: no aggregate holds a text, and no step both joins and sorts.
_STEPS = {
    "ids": "SELECT * FROM stored",
    "damaged": "SELECT row, line, byte, id, flags FROM ids WHERE flags > 1 OR flags = 1 AND octet_length(id) < $width",
    "hashes": "SELECT hash(coalesce(folded, id)) AS hash FROM ids GROUP BY 1 HAVING count(*) > 1",
    "doubtful": """SELECT row, line, byte, id, coalesce(folded, id) AS folded FROM ids
        WHERE hash(coalesce(folded, id)) IN (SELECT hash FROM hashes)""",
    "spellings": "SELECT folded, id, min(row) AS first, count(*) AS times FROM doubtful GROUP BY folded, id",
    "cases": "SELECT folded, min(first) AS first FROM spellings GROUP BY folded HAVING count(*) > 1",
    "repeated": """SELECT spellings.id, times, spellings.first, cases.first AS first_case
        FROM spellings LEFT JOIN cases ON spellings.folded = cases.folded
        WHERE times > 1 OR spellings.first <> cases.first""",
    "again": """SELECT row, line, byte, doubtful.id, first, first_case
        FROM doubtful JOIN repeated ON doubtful.id = repeated.id WHERE row > first OR first <> first_case""",
    "found": """SELECT row, line, byte, id, flags, NULL::BIGINT AS first, NULL::BIGINT AS first_case FROM damaged
        UNION ALL SELECT row, line, byte, id, 0, first, first_case FROM again ORDER BY row, flags DESC""",
}
_COUNT = """SELECT coalesce(sum(times) FILTER (WHERE first <> first_case), 0), coalesce(sum(times - 1), 0)
    FROM repeated"""
_SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in ("row", "line", "byte")),
        *((name, pa.binary()) for name in ("id", "folded")),
        ("flags", pa.uint8()),
    ]
)


class _Ids:
    """All ids with their locations, in files that live as long as this object.

    Ids that differ at most in case share one of _BUCKETS files, of which as many are compared at once as hold
    `at_once`.
    """

    def __init__(self, folder: Path | None, max_memory: str, at_once: int, on_compared: OnCompared) -> None:
        self._folder, self._max_memory, self._at_once = folder, max_memory, at_once
        self._on_compared = on_compared
        self._done = 0
        self._spill: Path | None = None
        self._writers: dict[int, pa.ipc.RecordBatchFileWriter] = {}
        self._sizes = np.zeros(_BUCKETS, np.int64)
        self._free: weakref.finalize[..., _Ids] | None = None
        self._counts: tuple[int, int] | None = None
        self.seconds, self.spilled_bytes = 0.0, 0

    @property
    def is_compared(self) -> bool:
        return self._counts is not None

    def add(self, columns: Sequence[Any]) -> None:
        """Keep some ids: their columns in the order of _SCHEMA."""
        started = time.monotonic()
        batch = pa.record_batch(columns, schema=_SCHEMA)
        buckets = _buckets(pc.coalesce(batch["folded"], batch["id"]))
        sizes = np.bincount(buckets, minlength=_BUCKETS)
        batch = batch.take(pa.array(np.argsort(buckets, kind="stable")))
        for bucket, end in enumerate(np.cumsum(sizes)):
            if sizes[bucket]:
                self._writer(bucket).write_batch(batch.slice(end - sizes[bucket], sizes[bucket]))
        self._sizes += sizes
        self.seconds += time.monotonic() - started

    def _writer(self, bucket: int) -> "pa.ipc.RecordBatchFileWriter":
        if self._spill is None:
            self._spill = Path(tempfile.mkdtemp(prefix="optimove-ids-", dir=self._folder))
            self._free = weakref.finalize(self, _free, self._writers, self._spill)
        if bucket not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            self._writers[bucket] = pa.ipc.new_file(f"{self._spill}/{bucket}.arrow", _SCHEMA, options=options)
        return self._writers[bucket]

    def compare(self, width: int | None) -> tuple[int, int]:
        """How many ids differ only in case from an earlier one, and how many are the same as an earlier one.

        Numbers that are shorter than `width` count as damaged.
        """
        if self._counts is None:
            started = time.monotonic()
            for writer in self._writers.values():
                writer.close()
            compared = [self._compare(self._spill, buckets, width) for buckets in self._groups() if self._spill]
            self._counts = sum(cases for cases, _ in compared), sum(duplicates for _, duplicates in compared)
            self.seconds += time.monotonic() - started
        return self._counts

    def _groups(self) -> list[list[int]]:
        """The buckets that are compared at once."""
        groups: list[list[int]] = []
        size = self._at_once
        for bucket in self._writers:
            size += int(self._sizes[bucket])
            if size > self._at_once:
                groups.append([])
                size = int(self._sizes[bucket])
            groups[-1].append(bucket)
        return groups

    def _compare(self, spill: Path, buckets: Sequence[int], width: int | None) -> tuple[int, int]:
        folder = spill / f"from-{buckets[0]}"
        folder.mkdir()
        size = int(self._sizes[list(buckets)].sum())
        with open_duck(folder, self._max_memory, threads=1) as connection:
            connection.register("stored", pa.RecordBatchReader.from_batches(_SCHEMA, _batches(spill, buckets)))
            for step, (name, query) in enumerate(_STEPS.items(), 1):
                path = f"{folder}/{name}.parquet"
                made = connection.sql(query, params={"width": width} if "$width" in query else None)
                made.write_parquet(path, compression="zstd", row_group_size=1 << 13)
                connection.read_parquet(path).create_view(name)
                self._on_compared(self._done + size * step // len(_STEPS), int(self._sizes.sum()))
            self._done += size
            cases, duplicates = connection.execute(_COUNT).fetchall()[0]
            self.spilled_bytes = max(self.spilled_bytes, _size(spill))
        for name in _STEPS.keys() - {"found"}:
            (folder / f"{name}.parquet").unlink()
        return int(cases), int(duplicates)

    def found(self) -> Iterator[dict[str, Any]]:
        """The rows with a damaged or repeated id, in order, one that is both twice.

        Gives row, line, byte, id, its flags, first (for a repeated id, the row that it is in first) and first_case (the
        row in which it first is in another case, or in any if that is this one).
        """
        files = sorted(self._spill.glob("*/found.parquet")) if self._spill else []
        return merge(*map(_rows, files), key=lambda found: (found["row"], -found["flags"]))

    def close(self) -> None:
        if self._free:
            self._free()


_WEIGHTS = np.random.default_rng(0).integers(0, 1 << 63, 1024, np.uint64) * np.uint64(2) + np.uint64(1)


def _buckets(keys: pa.BinaryArray) -> Integers:
    """Which bucket each of some keys, none empty, belongs to: the bytes, weighted by their position, decide."""
    buckets = [np.empty(0, np.int64)]
    for start in range(0, len(keys), 1 << 13):  # what follows needs 32 bytes for each byte
        some = keys.slice(start, 1 << 13)
        ends = np.frombuffer(some.buffers()[1], np.int32)[some.offset : some.offset + len(some) + 1]
        text = np.frombuffer(some.buffers()[2], np.uint8)[ends[0] : ends[-1]]
        starts = ends[:-1] - ends[0]
        positions = np.arange(len(text)) - np.repeat(starts, np.diff(ends))
        hashes = np.add.reduceat(_WEIGHTS[positions % len(_WEIGHTS)] * (text + np.uint64(1)), starts)
        buckets.append((hashes >> np.uint64(40)).astype(np.int64) % _BUCKETS)
    return np.concatenate(buckets)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1024):
            yield from batch.to_pylist()


def _batches(spill: Path, buckets: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """What was stored of some buckets, each of which is then removed."""
    for path in (spill / f"{bucket}.arrow" for bucket in buckets):
        with pa.ipc.open_file(path) as file:
            for number in range(file.num_record_batches):
                yield file.get_batch(number)
        path.unlink()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _free(writers: "dict[int, pa.ipc.RecordBatchFileWriter]", spill: Path) -> None:
    for writer in writers.values():
        writer.close()
    shutil.rmtree(spill, ignore_errors=True)
