"""Example DAGs on a real Airflow, day by day: what is asked for through the CLI, and what came of it."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from optimove_provider.demo import airflow_home
from optimove_provider.demo.standalone import NotRunning
from optimove_provider.demo.warehouse import Order
from optimove_provider.emulator.server import EmulatorServer
from tests.support.backfill import orders
from tests.support.backfill.cluster import Cluster, running_cluster
from tests.support.backfill.orders import Orders
from tests.support.backfill.postgres import running_postgres

DAGS = Path(__file__).parents[3] / "dags"
INCREMENTAL = "optix_incremental"
ACTIVE_RUNS = 4

_KNOWN = "SELECT count(DISTINCT dag_id) FROM serialized_dag WHERE dag_id = %s"
_UNFINISHED = "SELECT count(*) FROM dag_run WHERE dag_id = %s AND state NOT IN ('success', 'failed')"
_BACKFILLS = "SELECT count(*) FROM backfill WHERE dag_id = %s AND completed_at IS NULL"
_TRIES = """
SELECT run_id, task_id, try_number, state FROM task_instance WHERE dag_id = %s
UNION SELECT run_id, task_id, try_number, state FROM task_instance_history WHERE dag_id = %s
"""
_RESULTS = """
SELECT to_char(data_interval_start AT TIME ZONE 'UTC', 'YYYY-MM-DD'), value
FROM xcom JOIN dag_run USING (dag_id, run_id)
WHERE dag_id = %s AND task_id = 'upload' AND key = 'return_value' AND run_type = 'backfill'
"""


@dataclass(frozen=True)
class Days:
    """The DAGs, their warehouse and their targets."""

    cluster: Cluster
    orders: Orders
    emulator: EmulatorServer

    def backfill(self, dag_id: str, first: date, last: date, *options: str) -> None:
        """Ask for the days from `first` to `last`, once an earlier backfill of the DAG is closed."""
        self.cluster.wait_for("end of backfill", lambda: self.cluster.rows(_BACKFILLS, dag_id) == [(0,)])
        span = ["--from-date", first.isoformat(), "--to-date", last.isoformat()]
        active = ["--max-active-runs", str(ACTIVE_RUNS)]
        self.cluster.cli("backfill", "create", "--dag-id", dag_id, *span, *active, *options)

    def trigger(self, dag_id: str, since: date, until: date) -> None:
        """Ask for a window by hand."""
        conf = {"since": f"{since}T00:00:00Z", "until": f"{until}T00:00:00Z"}
        self.cluster.api("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})

    def wait_for_runs(self, dag_id: str) -> None:
        """Return when all runs of the DAG are over.

        Raises NotRunning as soon as a task has failed: its retry may be minutes away.
        """
        self.wait_for(f"end of {dag_id}", dag_id, lambda: self.cluster.rows(_UNFINISHED, dag_id) == [(0,)])

    def wait_for(self, what: str, dag_id: str, there: Callable[[], bool]) -> None:
        """Return when it is there. Raises NotRunning if it does not come, or once a task of the DAG has failed."""

        def there_or_failed() -> bool:
            if failed := [row for row in self.not_successful(dag_id) if row[-1] in ("failed", "up_for_retry")]:
                raise NotRunning(f"failed: {failed}. Logs: {self.cluster.home}")
            return there()

        self.cluster.wait_for(what, there_or_failed)

    def not_successful(self, dag_id: str) -> list[tuple[Any, ...]]:
        """The tries of tasks that did not end well, also those that were mended by a retry: run, task, try, state."""
        return [row for row in self.cluster.rows(_TRIES, dag_id, dag_id) if row[-1] != "success"]

    def runs(self, dag_id: str, column: str) -> list[Any]:
        """A column of all runs of a DAG."""
        query = f"SELECT {column} FROM dag_run WHERE dag_id = %s"  # noqa: S608 - a name in a test
        return [value for (value,) in self.cluster.rows(query, dag_id)]

    def results(self) -> dict[date, Mapping[str, Any]]:
        """What the upload of each back-filled day came to."""
        return {date.fromisoformat(day): result for day, result in self.cluster.rows(_RESULTS, INCREMENTAL)}

    def stored(self, name: str) -> dict[str, Any]:
        """What a data connection shows: customer -> record."""
        (connection,) = (each for each in self.emulator.state.connections.values() if each.name == name)
        visible = connection.visible(self.emulator.state.clock())
        return {customer: record.data for customer, record in visible.items()}


@contextmanager
def running_days(folder: Path, files: Sequence[str] = (INCREMENTAL,), more: Iterable[Order] = ()) -> Iterator[Days]:
    """A PostgreSQL with the orders, an emulator, and an Airflow that has these DAGs, while the block lasts.

    `more` are orders beside CDNOW's.
    """
    with ExitStack() as stopping:
        postgres = stopping.enter_context(running_postgres(folder / "postgres"))
        warehouse = Orders(postgres)
        warehouse.load()
        warehouse.add(more)
        emulator = stopping.enter_context(EmulatorServer())
        connections = {
            **airflow_home.connections(emulator.url, emulator.s3_url, folder),
            "warehouse_default": postgres.airflow_connection(orders.DATABASE),
        }
        dags = _only(files, folder / "dags")
        cluster = stopping.enter_context(
            running_cluster(folder / "airflow", dags, postgres, connections, {"optix": ACTIVE_RUNS})
        )
        for dag_id in files:
            cluster.wait_for(f"DAG {dag_id}", lambda dag_id=dag_id: cluster.rows(_KNOWN, dag_id) == [(1,)])
        yield Days(cluster, warehouse, emulator)


def _only(files: Sequence[str], folder: Path) -> Path:
    """A DAGs folder with some of ours: Airflow need not read the others all the time."""
    shutil.copytree(DAGS / "sql", folder / "sql")
    for name in files:
        shutil.copy(DAGS / f"{name}.py", folder)
    return folder
