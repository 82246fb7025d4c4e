"""Loads back to back for an hour, in one process, and whether anything of it grows.

    PYTHONPATH=. python -m benchmarks.soak [--minutes 60] [--seed 1]

Real time, real files, real sockets: the emulator runs in a process of its own. In Airflow each task is a new process,
so what a load leaves behind in memory is gone with it; here all loads share one, which is harder. Operators are run as
a worker runs them, over Airflow's connections and settings, and the Sync history is read in between as the API server
reads it. Each round moves the source and loads it: snapshots whose lacking keys expire, a delta with rows that the
server refuses and that are owed, everything in full, a try that dies and its retry, a load that fails for good,
updates, DCP imports and profile writes. After each minute every record of the source must be visible.

The columns: loads so far; memory (RSS), threads and file handles of this process; files and bytes of staging (what
loads work with), of reports, and of ledgers; records that are not as the source has them. It is flat if the median of
the last third of all minutes is not above that of the middle third by more than `BOUNDS`; the exit code is 1 otherwise.
"""

import argparse
import json
import logging
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

KEPT_LOADS, KEPT_REPLACED_MINUTES = 60, 5
POISON = "poison"
BOUNDS = {
    "rss_mb": (0.05, 8.0),
    "threads": (0.0, 1.0),
    "handles": (0.0, 2.0),
    "staging_files": (0.05, 10.0),
    "staging_kb": (0.10, 200.0),
    "report_files": (0.05, 10.0),
    "report_kb": (0.10, 200.0),
    "ledger_files": (0.10, 10.0),
    "ledger_kb": (0.10, 200.0),
}
"""By column: how much it may grow from the middle third to the last, as a share and as a number: the larger counts."""


# The source.


class Source:
    """A table of customers in SQLite, which moves: some change, some come, some go."""

    def __init__(self, path: Path, chance: random.Random, customers: int = 2000) -> None:
        self._path, self._chance, self._next, self.round = path, chance, 0, 0
        with self._connected() as database:
            database.execute("CREATE TABLE customers (id TEXT PRIMARY KEY, visits INTEGER, note TEXT, touched INTEGER)")
        self._add(customers)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path)) as database, database:
            yield database

    def _add(self, count: int) -> None:
        rows = [(f"{number:06}", 0, "new", self.round) for number in range(self._next, self._next + count)]
        self._next += count
        with self._connected() as database:
            database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", rows)

    def move(self) -> None:
        """Change a twentieth, let ten go and ten come."""
        self.round += 1
        with self._connected() as database:
            ids = [one for (one,) in database.execute("SELECT id FROM customers")]
            chosen = self._chance.sample(ids, len(ids) // 20 + 10)
            changed = [(f"well {self._chance.random()}", self.round, one) for one in chosen[10:]]
            database.executemany(
                "UPDATE customers SET visits = visits + 1, note = ?, touched = ? WHERE id = ?", changed
            )
            database.executemany("DELETE FROM customers WHERE id = ?", [(one,) for one in chosen[:10]])
        self._add(10)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Each customer's record."""
        with self._connected() as database:
            found = database.execute("SELECT id, visits, note FROM customers").fetchall()
        return {one: {"id": one, "visits": visits, "note": note} for one, visits, note in found}


# The loads.


@dataclass
class Loads:
    """All kinds of loads into an emulator whose connections and settings are in the environment."""

    source: Source
    control: Callable[..., Any]
    chance: random.Random
    count: int = 0
    connections: dict[str, str] = field(default_factory=dict)
    table: int = 0

    def prepare(self) -> None:
        """Make the data connections, and the table with its attributes."""
        from optimove_provider.operators import dcp, optix
        from tests.support.running import run

        for name in ("snapshot", "delta"):
            create = optix.OptixCreateConnectionOperator(task_id="create", name=name, primary_key="id")
            self.connections[name] = run(create)
        service = run(dcp.DcpCreateServiceOperator(task_id="service", name="Soak"))
        named = {"service_id": service, "name": "Soak", "keyfield_locator_type": "uid"}
        table = run(dcp.DcpCreateTableOperator(task_id="table", **named))
        attributes = [{"name": "visits", "datatype": "long"}, {"name": "note", "datatype": "string"}]
        self.table = run(dcp.DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes=attributes))
        self.control("switches", "PUT", {"poison": POISON, "object_after_import": "remove"})

    def round(self) -> None:
        """Move the source, and load it in each way, the costly ones less often."""
        self.source.move()
        number = self.source.round
        self.snapshot()
        self.delta()
        for kind, every in (
            (self.dying, 5),
            (self.imported, 4),
            (self.profiles, 6),
            (self.updated, 3),
            (self.full, 20),
        ):
            if number % every == 0:
                kind()
        if number % 10 == 0:
            self.failing()

    def snapshot(self, **changes: Any) -> Any:
        """What changed, of all rows; what the source lacks expires."""
        return self._run(self._upload("snapshot", "SELECT id, visits, note FROM customers", **changes))

    def delta(self) -> None:
        """The touched rows, three of which the server refuses: they are owed, and go again until they are outdated."""
        query = (
            "SELECT id, visits, CASE WHEN rowid IN (SELECT rowid FROM customers WHERE touched = ? ORDER BY id LIMIT 3) "
            "THEN ? ELSE note END AS note FROM customers WHERE touched = ?"
        )
        values = [self.source.round, POISON, self.source.round]
        owing = {"source_is": "delta", "on_removed": "report", "resend_rejected": True, "max_rejected": 0.5}
        self._run(self._upload("delta", query, parameters=values, **owing))

    def full(self) -> None:
        """Every row."""
        self.snapshot(mode="full", source_is="snapshot")

    def dying(self) -> None:
        """A try whose requests are all put off, so that it gives up, and the next try of the same load."""
        from airflow.providers.common.compat.sdk import AirflowException

        self.source.move()
        again = {"run_id": f"round {self.source.round}", "max_tries": 1}
        self.control("faults", "POST", {"endpoint": "upload_data", "times": 1000, "status": 429})
        try:
            self.snapshot(sending={"give_up_after": 0.5}, **{"try": {**again, "try_number": 1}})
        except AirflowException:
            pass
        else:
            raise AssertionError("a load of which nothing was taken has not failed")
        finally:
            for fault in self.control("faults"):
                self.control(f"faults/{fault['number']}", "DELETE")
        self.snapshot(**{"try": {**again, "try_number": 2}})

    def failing(self) -> None:
        """A load that is refused for good, as too many of its rows cannot travel."""
        from airflow.providers.common.compat.sdk import AirflowException

        query = "SELECT CASE WHEN visits % 2 THEN id END AS id, visits, note FROM customers"
        try:
            self._run(self._upload("delta", query, source_is="delta", on_removed="report"))
        except AirflowException:
            return
        raise AssertionError("a load of which half cannot travel has not failed")

    def updated(self) -> None:
        """A few records, overwritten by key with what they hold."""
        from optimove_provider.operators.optix import OptixUpdateOperator

        rows = self.chance.sample(list(self.source.rows().values()), 5)
        target = {"data_connection_uuid": self.connections["snapshot"], "primary_key": "id"}
        self._run(OptixUpdateOperator(task_id="update", source=rows, **target))

    def imported(self) -> None:
        """What changed, as a file through S3, waited for."""
        from optimove_provider.operators.dcp import DcpS3ImportOperator

        query = {"sql": "SELECT id AS customerId, visits, note FROM customers", "sql_conn_id": "warehouse_default"}
        waiting = {"mode": "changed", "wait": True, "poke_interval": 0.1, "deferrable": False}
        self._run(DcpS3ImportOperator(task_id="import", table_id=self.table, **query, **waiting))

    def profiles(self) -> None:
        """A few profiles over REST."""
        from optimove_provider.operators.dcp import DcpWriteProfilesOperator

        rows = self.chance.sample(list(self.source.rows().values()), 3)
        profiles = [{"customerId": row["id"], "visits": row["visits"], "note": row["note"]} for row in rows]
        self._run(DcpWriteProfilesOperator(task_id="profiles", table_id=self.table, profiles=profiles))

    def _upload(self, name: str, query: str, **changes: Any) -> tuple[Any, dict[str, Any]]:
        from optimove_provider.operators.optix import OptixUploadOperator

        try_ = changes.pop("try", {})
        wanted = {
            "mode": "changed",
            "on_removed": "expire",
            "sql": query,
            "sql_conn_id": "warehouse_default",
            **changes,
        }
        target = {"data_connection_uuid": self.connections[name], "primary_key": "id"}
        return OptixUploadOperator(task_id=name, **target, **wanted), try_

    def _run(self, operator: Any) -> Any:
        from tests.support.running import run

        operator, try_ = operator if isinstance(operator, tuple) else (operator, {})
        self.count += 1
        return run(operator, **try_)

    def wrong(self) -> int:
        """How many records of the source are not visible as they are, after a snapshot of it."""
        self.snapshot()
        connections = {one["name"]: one["records"] for one in self.control("state")["connections"]}
        visible = {key: record["data"] for key, record in connections["snapshot"].items()}
        return sum(visible.get(key) != row for key, row in self.source.rows().items())


# What is measured.


@dataclass(frozen=True)
class Figures:
    """What there is at one instant."""

    loads: int
    rss_mb: float
    threads: int
    handles: int
    staging_files: int
    staging_kb: int
    report_files: int
    report_kb: int
    ledger_files: int
    ledger_kb: int
    wrong: int


def measured(staging: Path, loads: int, wrong: int) -> Figures:
    """The figures of this process and of a staging folder."""
    import psutil

    process = psutil.Process()
    folders = {True: {"reports": [], "ledgers": []}, False: {"": []}}
    for path in staging.rglob("*"):
        if path.is_file():
            name = path.relative_to(staging).parts[0]
            folders[name in folders[True]].setdefault(name if name in folders[True] else "", []).append(path.stat())
    sizes = [folders[False][""], folders[True]["reports"], folders[True]["ledgers"]]
    told = [number for some in sizes for number in (len(some), sum(one.st_size for one in some) // 1024)]
    rss = round(process.memory_info().rss / 2**20, 1)
    return Figures(loads, rss, process.num_threads(), process.num_fds(), *told, wrong)


def grown(found: Sequence[Figures]) -> list[str]:
    """The columns that are not flat, each with its medians in words."""
    third = len(found) // 3
    middle, last = found[third : 2 * third], found[len(found) - third :]
    told = []
    for name, (share, number) in BOUNDS.items():
        before, after = (median(getattr(one, name) for one in some) for some in (middle, last))
        if after > before + max(share * before, number):
            told.append(f"{name}: {before:g} in the middle third, {after:g} in the last")
    return told


def say(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def soak(loads: Loads, staging: Path, seconds: float, points: int) -> list[Figures]:
    """Load for so long, and tell the figures at so many points."""
    from optimove_provider.loads.history.loads import LoadIndex
    from optimove_provider.tasks.staging import staging as place

    index, found, began = LoadIndex(), [], time.monotonic()
    say("minute", *(one.name for one in fields(Figures)))
    say(*["---:"] * (len(fields(Figures)) + 1))
    for point in range(1, points + 1):
        while time.monotonic() < began + point * seconds / points:
            loads.round()
            index.loads(place())
        found.append(measured(staging, loads.count, loads.wrong()))
        say(f"{(time.monotonic() - began) / 60:.1f}", *astuple(found[-1]))
    return found


# The emulator.


def serve() -> None:
    """The emulator, until standard input ends."""
    from optimove_provider.emulator import EmulatorServer

    with EmulatorServer() as server:
        print(json.dumps([server.url, server.s3_url]), flush=True)
        sys.stdin.read()


@contextmanager
def emulator() -> Iterator[tuple[str, str]]:
    """The addresses of an emulator in a process of its own."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin
        assert process.stdout
        url, s3_url = json.loads(process.stdout.readline())
        yield url, s3_url
        process.stdin.close()


def control_of(url: str) -> Callable[..., Any]:
    """A function that asks the emulator's control routes."""

    def control(name: str, method: str = "GET", value: Any = None) -> Any:
        body = None if value is None else json.dumps(value).encode()
        headers = {"content-type": "application/json"}
        with urlopen(Request(f"{url}/_emulator/{name}", body, headers, method=method)) as answer:  # noqa: S310 - ours
            return json.loads(answer.read())

    return control


def settings(kept_loads: int) -> dict[str, str]:
    """What is kept, so that an hour is long enough to see it go."""
    return {
        "AIRFLOW__OPTIMOVE__KEEP_LOADS": str(kept_loads),
        "AIRFLOW__OPTIMOVE__KEEP_REPLACED_MINUTES": str(KEPT_REPLACED_MINUTES),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return 0
    from optimove_provider.demo import airflow_home

    chance = random.Random(given.seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, emulator() as (url, s3_url):
        home, warehouse = Path(folder) / "airflow", Path(folder) / "warehouse.db"
        connections = airflow_home.connections(url, s3_url, warehouse)
        for one in ("optix_default", "dcp_default"):
            connections[one]["extra"]["requests_per_10s"] = 10_000  # else an hour would be spent waiting
        variables = {**airflow_home.environment(home, Path(folder) / "dags"), **airflow_home.as_variables(connections)}
        airflow_home.enter({**variables, **settings(KEPT_LOADS)})
        logging.disable(logging.ERROR)
        loads = Loads(Source(warehouse, chance), control_of(url), chance)
        loads.prepare()
        points = max(6, round(given.minutes))
        found = soak(loads, home / "optimove", given.minutes * 60, points)
    told = grown(found) + [f"{one.wrong} records are wrong after {one.loads} loads" for one in found if one.wrong]
    print("\n".join(["grown:", *told] if told else [f"flat, after {found[-1].loads} loads"]))
    return 1 if told else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
