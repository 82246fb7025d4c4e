"""What it costs to compare all ids of a file: time, peak memory and bytes on disk for N ids, beside sqlite3.

    python -m benchmarks.identifiers 10000000 --repeated 0.5

Each engine runs in a process of its own. `--repeated` is the share of ids that were there before, `--engine` picks one.
The peak is that of the whole process: imports and the making of ids, `before`, are in it.
"""

import argparse
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.observe.identifiers import KeyObserver

BATCH = 40_000
"""About as many rows as a block of 4 MB has."""


def batches(count: int, repeated: float) -> Iterator[tuple[Locations, pa.BinaryArray]]:
    """Ids such as user-00000001234567, in no order; the last ones are the first ones again."""
    distinct = count - int(count * repeated)
    for start in range(0, count, BATCH):
        rows = np.arange(start, min(start + BATCH, count), dtype=np.int64)
        numbers = (rows % distinct) * 2_654_435_761 % (1 << 40)
        digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 14, "0")
        yield (
            Locations(rows + 1, rows + 2, rows * 100),
            pc.binary_join_element_wise("user-", digits, "").cast(pa.binary()),
        )


def with_watch(count: int, repeated: float, folder: Path) -> tuple[int, str]:
    """Compare with KeyObserver; gives the duplicates found, and what it says about itself."""
    observer = KeyObserver(0, "customerId", folder)
    for places, cells in batches(count, repeated):
        observer.see(places, cells)
    duplicates = dict(observer.counts()).get("id-duplicate", 0)
    kept = sum(1 for _ in islice(observer.findings(), 10_000))
    observer.close()
    return duplicates, f"{kept} findings kept; {observer.cost()}"


def with_sqlite(count: int, repeated: float, folder: Path) -> tuple[int, str]:
    """Compare with a table on disk and GROUP BY: exact duplicates only, without their rows."""
    path = folder / "ids.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-128000")
    connection.execute("CREATE TABLE ids (row INTEGER PRIMARY KEY, line INTEGER, byte INTEGER, id BLOB)")
    for places, cells in batches(count, repeated):
        columns = (places.rows.tolist(), places.lines.tolist(), places.bytes.tolist(), cells.to_pylist())
        connection.executemany("INSERT INTO ids VALUES (?, ?, ?, ?)", zip(*columns, strict=True))
    query = "SELECT coalesce(sum(times - 1), 0) FROM (SELECT count(*) AS times FROM ids GROUP BY id HAVING times > 1)"
    duplicates = connection.execute(query).fetchone()[0]
    return duplicates, f"{path.stat().st_size / 1e6:,.0f} MB table, without what it sorted"


ENGINES = {"duckdb": with_watch, "sqlite": with_sqlite}


def measure(engine: str, count: int, repeated: float) -> None:
    """Run one engine in this process and print a line."""
    for _ in batches(BATCH, 0):
        before = _peak_mb()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        duplicates, words = ENGINES[engine](count, repeated, Path(folder))
    assert duplicates == int(count * repeated)
    seconds = time.monotonic() - started
    print(f"{engine}: {count:,} ids, {duplicates:,} duplicates, {seconds:.1f} s, peak {_peak_mb()} MB", end=" ")
    print(f"(before: {before} MB); {words}", flush=True)


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Measure all engines asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int)
    parser.add_argument("--repeated", type=float, default=0.0)
    parser.add_argument("--engine", choices=ENGINES)
    options = parser.parse_args()
    if options.engine:
        measure(options.engine, options.count, options.repeated)
        return
    for engine in ENGINES:
        own = [sys.executable, "-m", "benchmarks.identifiers", str(options.count), "--repeated", str(options.repeated)]
        subprocess.run([*own, "--engine", engine], check=True)  # noqa: S603 - this file, with numbers


if __name__ == "__main__":
    main()
