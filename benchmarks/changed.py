"""What it costs to plan a load of which few rows changed, against plainly reading those rows from Parquet.

    python -m benchmarks.changed 10000000 --changed 0.01

The first load, which makes the ledger, is not measured. The plain reader and the planner run in processes of their own,
in turns; the peak is that of the whole process. At the end, what was planned is sent to the emulator, in this process,
to count the requests.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import OptixSettings
from optimove_provider.emulator import API_KEY, BRAND_KEY, State, send
from optimove_provider.loads.ledger.lease import Lease, acquire
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.optix.batch import send_batch, upload_puts
from optimove_provider.loads.optix.options import OptixTarget
from optimove_provider.loads.optix.sender import SliceSender
from optimove_provider.loads.plan.plan import Plan, PlanInput
from optimove_provider.loads.plan.planner import make_plan
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.slices import RowFiles, RowFilesWriter
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging
from optimove_provider.options import Sending

FIRST = datetime(2026, 5, 2, tzinfo=UTC)
BATCH = 50_000
CITIES = pa.array(["Tel Aviv", "London", "Dundee", "New York"])


def records(count: int, changed: float) -> Iterator[pa.RecordBatch]:
    """Records of nine columns and some 190 bytes; a share of them, spread evenly, is not as it was at first."""
    every = round(1 / changed) if changed else count + 1
    for start in range(0, count, BATCH):
        rows = np.arange(start, min(start + BATCH, count), dtype=np.int64)
        text = pa.array(rows).cast(pa.string())
        keys = pc.binary_join_element_wise(
            '"', pc.utf8_lpad(pa.array(rows * 7919 % 10**10).cast(pa.string()), 10, "0"), '"', ""
        )
        score = pa.array(np.where(rows % every == 0, rows % 97 + (changed > 0), rows % 97)).cast(pa.string())
        city = CITIES.take(pa.array(rows % len(CITIES)))
        texts = pc.binary_join_element_wise(
            '{"birthday":"1980-01-02","city":"', city, '","customer_id":', keys, ',"email":"person', text,
            '@example.com","first_name":"Alexandra","opted_in":true,"score":', score,
            ',"spent":1234.5,"visits":', text, "}", "",
        )  # fmt: skip
        yield row_files.rows_batch(pa.array(rows + 1), keys, texts, row_files.fingerprints(texts))


def freeze(staging: Staging, folder: str, count: int, changed: float) -> None:
    """Write rows as a load freezes them, which knows what its ledger makes digests by."""
    seed = Ledger(staging, "benchmark").read().key_digest.seed
    with RowFilesWriter(staging, folder, seed=seed) as writer:
        for batch in records(count, changed):
            writer.add(batch)


def plan(staging: Staging, load_id: str, generation: datetime) -> tuple[Ledger, Plan]:
    """Plan a load."""
    ledger = Ledger(staging, "benchmark")
    load = PlanInput(load_id, load_id, Age.of(generation), source_is="snapshot")
    return ledger, make_plan(ledger, load, f"{load_id}-plan", generation)


def prepare(staging: Staging, count: int, changed: float) -> None:
    """Commit a first load, and freeze a second one."""
    freeze(staging, "first", count, 0)
    ledger, first = plan(staging, "first", FIRST)
    lease = acquire(ledger.manifest_file, "first", 1)
    assert isinstance(lease, Lease)
    with lease:
        ledger.commit(lease, first.as_commit(FIRST))
    freeze(staging, "second", count, changed)


def plain(staging: Staging) -> str:
    """Read the rows, and do nothing with them."""
    rows = 0
    for path in row_files.paths(staging, "second"):
        with pq.ParquetFile(staging.path(path)) as file:
            rows += sum(file.read_row_group(group).num_rows for group in range(file.num_row_groups))
    return f"{rows:,} rows"


def planned(staging: Staging) -> str:
    """Plan the second load."""
    _, second = plan(staging, "second", FIRST + timedelta(days=1))
    staging.remove_folder("second-plan")
    return str({name: count for name, count in second.counts.items() if count})


def sent(staging: Staging) -> str:
    """Plan the second load once more, and send it."""
    state = State()
    settings = OptixSettings(
        conn_id="optix_default",
        host="http://emulator/api/data-connections/v1",
        api_key=API_KEY,
        brand_api_key=BRAND_KEY,
        requests_per_10s=10_000,
    )
    with OptixClient(settings, send=partial(send, state)) as client:
        target = OptixTarget(client.create_connection("customers", "customer_id"), "customer_id")
        _, second = plan(staging, "second", FIRST + timedelta(days=1))
        parts = RowFiles(second.sent, second.to_send, "rows", one_file=True)
        journal = Journal(staging, str(uuid.uuid4()))
        sender = SliceSender(client, parts, journal, Sending(), upload_puts(target, journal))
        totals = send_batch(sender, target, Report(journal.load_id, {}))
    uploads = [request for request in state.requests if request["endpoint"] == "upload_data"]
    completing = [number for number, request in enumerate(uploads, 1) if request["batch_completed"]]
    return f"{totals.accepted:,} rows in {len(uploads)} requests, of which number {completing} completes the batch"


CONTESTANTS = {"plain": plain, "planned": planned}


def measure(name: str, folder: str) -> None:
    """Run one of them in this process, and print what it takes."""
    print_cost(partial(CONTESTANTS[name], Staging(LocalFileSystem(), folder)))


def print_cost(run: Callable[[], str]) -> None:
    """Run something in this process, and print seconds, those of CPU, peak in MB and what it says."""
    started, cpu_before = time.monotonic(), time.process_time()
    said = run()
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu_before
    [peak] = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())  # ru_maxrss knows the parent's too
    print(f"{seconds:.2f}|{cpu:.2f}|{int(peak) // 1024}|{said}")


def main() -> None:
    """Let both take turns, and print the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int)
    parser.add_argument("--changed", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        return measure(options.only, str(options.folder))
    with tempfile.TemporaryDirectory(prefix="optimove-changed-", dir=options.folder) as folder:
        prepare(Staging(LocalFileSystem(), folder), options.count, options.changed)
        ratios = [compare(folder, options.count) for _ in range(options.rounds)]
        print(f"planning takes {median(ratios):.2f} times as long as plainly reading the rows")
        print(sent(Staging(LocalFileSystem(), folder)))
    return None


def compare(folder: str, count: int) -> float:
    """One round; returns the ratio of the times."""
    seconds = []
    for name in CONTESTANTS:
        own = [sys.executable, "-m", "benchmarks.changed", str(count), "--folder", folder, "--only", name]
        told = subprocess.run(own, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - this file
        time_taken, cpu, peak, said = told.split("|")
        print(f"{name}: {time_taken} s, {cpu} s of CPU, peak {peak} MB; {said}", flush=True)
        seconds.append(float(time_taken))
    return seconds[1] / seconds[0]


if __name__ == "__main__":
    main()
