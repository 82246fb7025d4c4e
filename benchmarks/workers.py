"""How much faster two Celery workers send one load than one worker does.

    PYTHONPATH=. python -m benchmarks.workers [--rows 2000000] [--shards 4] [--rounds 1] [--in-flight 4]

A real Airflow on PostgreSQL with a real broker; `loopback.py` stands in for Opti-X: it answers 100 ms after a request's
last byte, and limits no rate. What counts is the time from the first request to the last acknowledgement. Each worker
runs one task at a time, so that two are twice as many processes that send.
"""

import argparse
import json
import tempfile
import uuid
from pathlib import Path
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.upload import CONNECTION, KEY, server
from tests.support.backfill.cluster import Cluster
from tests.support.workers.celery import running_celery, start_worker

_STATE = "SELECT state FROM dag_run WHERE dag_id = 'sharded_load' AND run_id = %s"
_ACCOUNT = "SELECT value FROM xcom WHERE run_id = %s AND task_id = 'customers.commit' AND key = 'return_value'"


def write(path: Path, rows: int) -> None:
    """Customers of five columns."""
    numbers = pa.array(range(rows), pa.int64())
    text = numbers.cast(pa.string())
    columns = {KEY: text, "visits": numbers, "email": text, "city": pa.repeat("London", rows), "opted_in": text}
    pq.write_table(pa.table(columns), path, row_group_size=100_000)


def connections(url: str) -> dict[str, dict[str, object]]:
    """Airflow's only connection."""
    extra = {"brand_api_key": "brand", "requests_per_10s": 1_000_000}
    host = {"conn_type": "optimove_optix", "host": url, "port": 0}
    return {"optix_default": {**host, "password": "key", "extra": extra}}


def load(cluster: Cluster, url: str, source: Path, shards: int, in_flight: int) -> tuple[float, int]:
    """One load in full; returns seconds from the first request to the last answer, and how many rows came."""
    conf = {"target": CONNECTION, "source": str(source), "shards": shards, "in_flight": in_flight, "key": KEY}
    body = {"logical_date": None, "conf": conf, "dag_run_id": str(uuid.uuid4())}
    run_id = cluster.api("POST", "/api/v2/dags/sharded_load/dagRuns", body)["dag_run_id"]
    cluster.wait_for("end", lambda: cluster.rows(_STATE, run_id) in ([("success",)], [("failed",)]))
    ((account,),) = cluster.rows(_ACCOUNT, run_id)
    with urlopen(url) as answer:  # noqa: S310 - our own server
        counts = json.loads(answer.read())
    return counts["last"] - counts["first"], account["accepted"]


def main() -> None:
    """In turns: one worker, then two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--in-flight", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="optimove-workers-") as name:
        folder = Path(name)
        source = folder / "customers.parquet"
        write(source, options.rows)
        for round_ in range(options.rounds):
            seconds = []
            for workers in (1, 2):
                with server() as url:
                    place = folder / f"{round_}-{workers}"
                    place.mkdir()
                    with running_celery(place, connections(url), workers=0) as cluster:
                        for number in range(workers):
                            start_worker(cluster, f"worker-{number}", concurrency=1)
                        took, rows = load(cluster, url, source, options.shards, options.in_flight)
                seconds.append(took)
                print(
                    f"{workers} of concurrency 1: {rows:,} rows in {took:.1f} s, {rows / took:,.0f} rows/s", flush=True
                )
            print(f"two workers are {seconds[0] / seconds[1]:.2f} times as fast as one", flush=True)


if __name__ == "__main__":
    main()
