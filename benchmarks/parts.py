"""What is left to the task that plans where others read and freeze the source, against one that does all of it.

    PYTHONPATH=. python -m benchmarks.parts 4000000 [--parts 4] [--rounds 1]

One Parquet file of nine columns, read in parts of its row groups; a full load, up to its shards: nothing is sent. Each
task is a process of its own, and they run one after the other, so that each has the machine for itself: with as many
workers as parts, a load takes as long as the longest of each kind together.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from benchmarks.changed import print_cost
from optimove_provider.clients.optix import OptixClient
from optimove_provider.emulator import State, send
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.sharded.load import plan_shards, settle
from optimove_provider.loads.sharded.shard import Sharding
from optimove_provider.loads.sharded.source_parts import SourcePart, freeze_part, frozen_parts, list_parts, read_part
from optimove_provider.loads.spool.frozen_parts import FrozenParts, RowSource
from optimove_provider.loads.state.staging import Staging
from optimove_provider.tasks.sources import open_part, open_rows, source_parts
from tests.support.optix_target import SETTINGS

UUID = "6f0f5d3a-0000-4000-8000-000000000000"
OPTIONS = UploadOptions(OptixTarget(UUID, "customer_id"))
SHARDING = Sharding(None, 4, timedelta(hours=1))
BATCH = 100_000


def write(path: Path, rows: int) -> None:
    """Customers, in row groups of 100,000."""
    writer = None
    for first in range(0, rows, BATCH):
        numbers = pa.array(range(first, min(first + BATCH, rows)), pa.int64())
        count, text = len(numbers), numbers.cast(pa.string())
        batch = pa.table(
            {
                "customer_id": pc.utf8_lpad(text, 10, "0"),
                "email": pc.binary_join_element_wise("person", text, "@example.com", ""),
                "first_name": pa.repeat("Alexandra", count),
                "city": pa.repeat("Tel Aviv", count),
                "birthday": pa.repeat("1980-01-02", count),
                "opted_in": pa.repeat(True, count),
                "score": numbers,
                "spent": pc.divide(numbers.cast(pa.float64()), 4.0),
                "visits": numbers,
            }
        )
        writer = writer or pq.ParquetWriter(path, batch.schema)
        writer.write_table(batch)
    if writer:
        writer.close()


class Tasks:
    """The tasks of one load, by name; each returns what the next ones need."""

    def __init__(self, staging: Staging, source: str, load_id: str, parts: int) -> None:
        self._staging, self._source, self._load_id, self._parts = staging, source, load_id, parts
        self._client = OptixClient(SETTINGS, send=partial(send, State()))

    def alone(self) -> str:
        return self._planned(partial(open_rows, self._source, None, None))

    def parts(self) -> str:
        cut = source_parts(self._source, None, None, None, self._parts, None, None)
        settled = settle(self._client, self._staging, OPTIONS)
        return json.dumps([part.as_json() for part in list_parts(self._staging, self._load_id, cut, settled)])

    def read(self, part: str) -> str:
        own = SourcePart.from_json(json.loads(part))
        return str(read_part(self._staging, own, lambda one: open_part(one, None, None, None))["rows"])

    def freeze(self, part: str) -> str:
        return str(freeze_part(self._staging, SourcePart.from_json(json.loads(part)))["frozen"])

    def plan(self, part: str) -> str:
        listing = json.loads(part)["listing"]
        return self._planned(
            FrozenParts(partial(frozen_parts, self._staging, self._load_id, listing, OPTIONS.encoding))
        )

    def _planned(self, source: RowSource) -> str:
        report = Report(self._load_id, {"optix": UUID})
        shards = plan_shards(self._client, source, self._staging, report, OPTIONS, SHARDING)
        return f"{report.rows:,} rows in {len(shards)} shards"


def measured(own: list[str], name: str, *part: str) -> tuple[float, str]:
    """One task in a process of its own; returns its seconds, and what it said."""
    command = [sys.executable, "-m", "benchmarks.parts", *own, "--task", name, *part]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - this file
    seconds, cpu, peak, said = told.splitlines()[-1].split("|")
    shown = "" if name == "parts" else f"; {said}"
    print(f"{name}: {float(seconds):.1f} s, {float(cpu):.1f} s of CPU, peak {peak} MB{shown}", flush=True)
    return float(seconds), said


def main() -> None:
    """One task that does all of it, then several; prints what each of them takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rows", type=int)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        return run(options)
    with tempfile.TemporaryDirectory(prefix="optimove-parts-") as name:
        write(Path(name, "customers.parquet"), options.rows)
        for number in range(options.rounds):
            compare(options, name, number)
    return None


def compare(options: argparse.Namespace, folder: str, number: int) -> None:
    """One round."""
    staging = Staging(LocalFileSystem(), f"{folder}/staging")
    own = [str(options.rows), "--parts", str(options.parts), "--folder", folder, "--load"]
    alone, _ = measured([*own, str(uuid.uuid4())], "alone")
    staging.remove_folder("")
    own.append(str(uuid.uuid4()))
    _, listed = measured(own, "parts")
    parts = [json.dumps(part) for part in json.loads(listed)]
    longest = [max(measured(own, name, part)[0] for part in parts) for name in ("read", "freeze")]
    planning, _ = measured(own, "plan", parts[0])
    together = sum(longest) + planning
    print(f"round {number + 1}: {alone:.1f} s alone; {planning:.1f} s planned, {together:.1f} s with all before")
    staging.remove_folder("")


def run(options: argparse.Namespace) -> None:
    """Run one task in this process, and print what it takes."""
    name, *part = options.task
    staging = Staging(LocalFileSystem(), f"{options.folder}/staging")
    tasks = Tasks(staging, f"{options.folder}/customers.parquet", options.load, options.parts)
    print_cost(partial(getattr(tasks, name), *part))


if __name__ == "__main__":
    main()
