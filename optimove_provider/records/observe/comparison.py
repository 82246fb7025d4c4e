"""Which of many ids are the same, or the same but for their case or for what nobody sees: exactly, and on disk.

All ids are written to files with their locations. Of those whose hash occurs once nothing needs to be known. The others
DuckDB compares, as whole texts: the hash never decides. It keeps to its memory limit and works on disk beyond that.
"""

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optimove_provider.disk.modes import PRIVATE, open_private
from optimove_provider.disk.temporary import TemporaryFolder, size_of
from optimove_provider.records.arrow.duck import open_duck
from optimove_provider.records.arrow.types import Mask

MAX_MEMORY = "96MB"
"""Of DuckDB; a process needs some 60 MB more for it."""
AT_ONCE = 3_000_000
"""How many ids DuckDB compares at a time. It keeps something in memory about each block that it writes to disk, so with
128 MB it could not take 100 million at once."""

OnCompared = Callable[[int, int], None]
"""Is told how many ids were compared, and how many there are."""


def no_progress(done: int, ids: int) -> None:
    """Nothing is told."""


_BUCKETS = 64
_MAX_HASHES = 4_000_000
"""32 MB. Of more ids, all are compared."""

# Each step makes a Parquet file, named first, from the earlier ones, and is small unless ids are repeated. Each can
# work on disk: no aggregate holds a text, and no step both joins and sorts. `seen` is what people see of an id,
# `folded` the same without case.
_STEPS = {
    "ids": """SELECT row, line, byte, id, coalesce(seen, id) AS seen, coalesce(folded, seen, id) AS folded, flags
        FROM stored""",
    "damaged": "SELECT row, line, byte, id, flags FROM ids WHERE flags > 1 OR flags = 1 AND octet_length(id) < $width",
    "hashes": "SELECT hash(folded) AS hash FROM ids GROUP BY 1 HAVING count(*) > 1",
    "doubtful": "SELECT row, line, byte, id, seen, folded FROM ids WHERE hash(folded) IN (SELECT hash FROM hashes)",
    "spellings": """SELECT folded, seen, id, min(row) AS first, count(*) AS times
        FROM doubtful GROUP BY folded, seen, id""",
    "forms": "SELECT folded, seen, min(first) AS first, count(*) AS spellings FROM spellings GROUP BY folded, seen",
    "looks": "SELECT seen, first FROM forms WHERE spellings > 1",
    "cases": "SELECT folded, min(first) AS first FROM forms GROUP BY folded HAVING count(*) > 1",
    "placed": """SELECT folded, id, times, spellings.first, coalesce(looks.first, spellings.first) AS first_look
        FROM spellings LEFT JOIN looks ON spellings.seen = looks.seen""",
    "repeated": """SELECT placed.id, times, placed.first, first_look, coalesce(cases.first, first_look) AS first_case
        FROM placed LEFT JOIN cases ON placed.folded = cases.folded
        WHERE times > 1 OR placed.first <> first_look OR cases.first <> first_look""",
    "again": """SELECT row, line, byte, doubtful.id, first, first_look, first_case
        FROM doubtful JOIN repeated ON doubtful.id = repeated.id
        WHERE row > first OR first <> first_look OR first_look <> first_case""",
    "found": """SELECT row, line, byte, id, flags, NULL::BIGINT AS first, NULL::BIGINT AS first_look,
        NULL::BIGINT AS first_case FROM damaged
        UNION ALL SELECT row, line, byte, id, 0, first, first_look, first_case FROM again ORDER BY row, flags DESC""",
}
_COUNT = """SELECT coalesce(sum(times) FILTER (WHERE first_look <> first_case), 0),
    coalesce(sum(times) FILTER (WHERE first <> first_look), 0), coalesce(sum(times - 1), 0) FROM repeated"""
SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in ("row", "line", "byte")),
        *((name, pa.binary()) for name in ("id", "seen", "folded")),
        ("flags", pa.uint8()),
    ]
)
"""Of the ids with their locations: what is seen of an id and the same without case, null where they are the id, and
bits that say what is odd about it; 1 alone is not odd unless the id is short."""

Repeats = tuple[int, int, int]
"""How many ids differ only in case from an earlier one, how many in what nobody sees, and how many are the same."""


class Comparison:
    """All ids with their locations, in files that live as long as this object.

    Ids that differ at most in case and in what nobody sees share one of _BUCKETS files, of which as many are compared
    at once as hold `at_once`. Their hashes are kept, up to _MAX_HASHES: mostly none is there twice, and DuckDB has
    nothing to do.
    """

    def __init__(self, folder: Path | None, max_memory: str, at_once: int, on_compared: OnCompared) -> None:
        self._folder, self._max_memory, self._at_once = folder, max_memory, at_once
        self._on_compared = on_compared
        self._done = 0
        self._temporary: TemporaryFolder | None = None
        self._writers: dict[int, pa.ipc.RecordBatchFileWriter] = {}
        self._sizes = np.zeros(_BUCKETS, np.int64)
        self._free: weakref.finalize[..., Comparison] | None = None
        self._counts: Repeats | None = None
        self._hashes: list[npt.NDArray[np.uint64]] | None = []
        self._twice: npt.NDArray[np.uint64] | None = None
        self.seconds, self.spilled_bytes = 0.0, 0

    @property
    def is_compared(self) -> bool:
        return self._counts is not None

    def add(self, columns: Sequence[Any]) -> None:
        """Keep some ids: their columns in the order of SCHEMA."""
        started = time.monotonic()
        batch = pa.record_batch(columns, schema=SCHEMA)
        hashes = _hashes(batch)
        self._keep_hashes(hashes)
        buckets = (hashes >> np.uint64(40)).astype(np.int64) % _BUCKETS
        sizes = np.bincount(buckets, minlength=_BUCKETS)
        batch = batch.take(pa.array(np.argsort(buckets, kind="stable")))
        with self._temporary_folder().telling():
            for bucket, end in enumerate(np.cumsum(sizes)):
                if sizes[bucket]:
                    self._writer(bucket).write_batch(batch.slice(end - sizes[bucket], sizes[bucket]))
        self._sizes += sizes
        self.seconds += time.monotonic() - started

    def _keep_hashes(self, hashes: npt.NDArray[np.uint64]) -> None:
        if self._hashes is not None:
            self._hashes.append(hashes)
            self._hashes = self._hashes if int(self._sizes.sum()) + len(hashes) <= _MAX_HASHES else None

    @property
    def _spill(self) -> Path | None:
        return self._temporary.path if self._temporary else None

    def _temporary_folder(self) -> TemporaryFolder:
        if self._temporary is None:
            self._temporary = TemporaryFolder("optimove-ids-", self._folder)
            self._free = weakref.finalize(self, _free, self._writers, self._temporary)
        return self._temporary

    def _writer(self, bucket: int) -> "pa.ipc.RecordBatchFileWriter":
        if bucket not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            open_private(f"{self._spill}/{bucket}.arrow").close()
            self._writers[bucket] = pa.ipc.new_file(f"{self._spill}/{bucket}.arrow", SCHEMA, options=options)
        return self._writers[bucket]

    def compare(self, width: int | None, damaged: bool = True) -> Repeats:
        """Find what is repeated. Numbers that are shorter than `width` count as damaged; `damaged`: any id is odd."""
        if self._counts is None:
            started = time.monotonic()
            self._twice = self._hashes_twice()
            compared: list[Repeats] = []
            with self._temporary_folder().telling():
                for writer in self._writers.values():
                    writer.close()
                if damaged or self._twice is None or len(self._twice):
                    found = (self._compare(self._spill, buckets, width) for buckets in self._groups() if self._spill)
                    compared += found
            if not compared:
                self.spilled_bytes = size_of(self._spill) if self._spill else 0
                self._on_compared(int(self._sizes.sum()), int(self._sizes.sum()))
            cases, looks, duplicates = (sum(counts) for counts in zip((0, 0, 0), *compared, strict=True))
            self._counts = cases, looks, duplicates
            self.seconds += time.monotonic() - started
        return self._counts

    def _hashes_twice(self) -> npt.NDArray[np.uint64] | None:
        """The hashes that are there more than once; None if there were too many to keep."""
        if self._hashes is None:
            return None
        hashes = np.concatenate([np.empty(0, np.uint64), *self._hashes])
        self._hashes = None
        hashes.sort()
        return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])

    def _stored(self, spill: Path, buckets: Sequence[int], width: int | None) -> Iterator[pa.RecordBatch]:
        """What has to be compared, or told, of some buckets."""
        for batch in _batches(spill, buckets):
            if self._twice is None:
                yield batch
                continue
            flags = batch["flags"].to_numpy()
            wanted = (flags > 1) | _among(_hashes(batch), self._twice)
            if width is not None:
                wanted |= (flags == 1) & (pc.binary_length(batch["id"]).to_numpy() < width)
            yield batch.filter(pa.array(wanted))

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

    def _compare(self, spill: Path, buckets: Sequence[int], width: int | None) -> Repeats:
        folder = spill / f"from-{buckets[0]}"
        folder.mkdir(PRIVATE.folder)
        size = int(self._sizes[list(buckets)].sum())
        with open_duck(folder, self._max_memory, threads=1) as connection:
            stored = self._stored(spill, buckets, width)
            connection.register("stored", pa.RecordBatchReader.from_batches(SCHEMA, stored))
            for step, (name, query) in enumerate(_STEPS.items(), 1):
                path = f"{folder}/{name}.parquet"
                made = connection.sql(query, params={"width": width} if "$width" in query else None)
                made.write_parquet(path, compression="zstd", row_group_size=1 << 13)
                connection.read_parquet(path).create_view(name)
                self._on_compared(self._done + size * step // len(_STEPS), int(self._sizes.sum()))
            self._done += size
            cases, looks, duplicates = connection.execute(_COUNT).fetchall()[0]
            self.spilled_bytes = max(self.spilled_bytes, size_of(spill))
        for name in _STEPS.keys() - {"found"}:
            (folder / f"{name}.parquet").unlink()
        return int(cases), int(looks), int(duplicates)

    def found(self) -> Iterator[dict[str, Any]]:
        """The rows with a damaged or repeated id, in order, one that is both twice.

        Gives row, line, byte, id and flags; for a repeated id also the rows in which it is there first: as it is
        (`first`), looking the same (`first_look`), and in any case (`first_case`).
        """
        files = sorted(self._spill.glob("*/found.parquet")) if self._spill else []
        return merge(*map(_rows, files), key=lambda found: (found["row"], -found["flags"]))

    def close(self) -> None:
        if self._free:
            self._free()


_WEIGHTS = np.random.default_rng(0).integers(0, 1 << 63, 1024, np.uint64) * np.uint64(2) + np.uint64(1)


def _hashes(batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
    """A hash of what ids share that may be the same, none of it empty: the bytes, weighted by their position."""
    keys = batch["folded"]
    if keys.null_count:
        keys = pc.coalesce(keys, batch["seen"], batch["id"]) if keys.null_count < len(keys) else batch["id"]
    hashes = [np.empty(0, np.uint64)]
    for start in range(0, len(keys), 1 << 13):  # what follows needs 32 bytes for each byte
        some = keys.slice(start, 1 << 13)
        ends = np.frombuffer(some.buffers()[1], np.int32)[some.offset : some.offset + len(some) + 1]
        text = np.frombuffer(some.buffers()[2], np.uint8)[ends[0] : ends[-1]]
        starts = ends[:-1] - ends[0]
        positions = np.arange(len(text)) - np.repeat(starts, np.diff(ends))
        hashes.append(np.add.reduceat(_WEIGHTS[positions % len(_WEIGHTS)] * (text + np.uint64(1)), starts))
    return np.concatenate(hashes)


def _among(hashes: npt.NDArray[np.uint64], sorted_: npt.NDArray[np.uint64]) -> Mask:
    """Which of some hashes are among others, which are sorted."""
    if not len(sorted_):
        return np.zeros(len(hashes), bool)
    return np.asarray(sorted_.take(np.searchsorted(sorted_, hashes), mode="clip") == hashes)


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


def _free(writers: "dict[int, pa.ipc.RecordBatchFileWriter]", temporary: TemporaryFolder) -> None:
    try:
        for writer in writers.values():
            with suppress(OSError):  # a full disk: what it holds goes anyway
                writer.close()
    finally:
        temporary.close()
