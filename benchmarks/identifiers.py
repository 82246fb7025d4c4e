"""What it costs to compare all ids of a file: `validate` as a whole process, with that and without, in turns.

    python -m benchmarks.identifiers 10000000 --repeated 0.5 [--rounds 3] [--directory DIR]

The file has ids such as user-00000001234567, in no order, and a column of true and false. `--repeated` is the share of
ids that were there before: these come last. Prints microseconds an id beyond the rest, of wall and of CPU time, and the
peaks.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

BATCH = 1 << 16
WITHOUT = "--no-identifiers"


def write(path: Path, count: int, repeated: float) -> None:
    """Write so many rows; memory does not depend on them."""
    distinct = count - int(count * repeated)
    schema = pa.schema([("customerId", pa.string()), ("isVip", pa.bool_())])
    with pacsv.CSVWriter(path, schema, write_options=pacsv.WriteOptions(quoting_style="none")) as file:
        for start in range(0, count, BATCH):
            rows = np.arange(start, min(start + BATCH, count), dtype=np.int64)
            numbers = (rows % distinct) * 2_654_435_761 % (1 << 40)
            digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 14, "0")
            ids = pc.binary_join_element_wise("user-", digits, "")
            file.write_batch(pa.record_batch([ids, pa.array(numbers % 2 == 0)], schema=schema))


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds, seconds of all cores, its peak in MB, and its report."""

    seconds: float
    work: float
    peak: float
    report: str


def validate(path: Path, *options: str) -> Run:
    """Check the file in a process of its own. One of another program starts it: the peak of that would be its own."""
    command = [sys.executable, "-m", "optimove_provider", "validate", str(path), "--primary-key", "customerId"]
    command += ["--format", "json", "--max-findings", "100"]
    start = time.perf_counter()
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        report = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"validate failed on {path}")
    return Run(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, report)


def measure(path: Path, count: int, repeated: float, rounds: int) -> None:
    """Print a line of a table."""
    pairs = [(validate(path), validate(path, WITHOUT)) for _ in range(rounds)]
    assert json.loads(pairs[0][0].report)["counts"].get("id-duplicate", 0) == int(count * repeated)
    wall = statistics.median((ours.seconds - rest.seconds) / count * 1e6 for ours, rest in pairs)
    work = statistics.median((ours.work - rest.work) / count * 1e6 for ours, rest in pairs)
    peaks = [max(one.peak for one in every) for every in zip(*pairs, strict=True)]
    print(
        f"| {count:,} | {repeated:.0%} | {wall:.2f} | {work:.2f} | {peaks[0]:.0f} / {peaks[1]:.0f} |",
        flush=True,
    )


def main() -> None:
    """Measure one number of ids, or several."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="+")
    parser.add_argument("--repeated", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where the file is written, and deleted")
    given = parser.parse_args()
    print("| ids | repeated | us an id | CPU us an id | peak MB, with / without |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        for count in given.count:
            path = Path(directory) / "ids.csv"
            write(path, count, given.repeated)
            measure(path, count, given.repeated, given.rounds)


if __name__ == "__main__":
    main()
