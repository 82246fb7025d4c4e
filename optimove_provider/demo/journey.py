"""Runs DAGs of the DAGs folder in this process, on real Airflow: no scheduler, one task after the other.

Airflow's settings must be in the environment before it is imported (`airflow_home.environment`), so nothing here
imports it at module level. Triggers of deferred tasks run inline. Connections must come from AIRFLOW_CONN_*
variables: inside an inline trigger Airflow cannot read them from its database.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk import DAG

BUNDLE = "dags-folder"  # Airflow's own name for what is in DAGS_FOLDER


@dataclass(frozen=True)
class DagOutcome:
    """What a run came to. Tasks are keyed by task id, mapped ones by `task_id[map index]`."""

    dag_id: str
    state: str  # success | failed
    tasks: Mapping[str, str]  # task -> success | failed | skipped | upstream_failed ...
    results: Mapping[str, Any]  # task -> what it returned, for those that returned something
    seconds: Mapping[str, float]  # task -> wall seconds of its last try


def initdb() -> None:
    """Make Airflow's tables in the database that the environment names (2 to 4 s)."""
    from airflow.utils.db import initdb as create_tables

    create_tables()
    _keep_the_api_server()


def load_dags(folder: Path) -> dict[str, "DAG"]:
    """DAG id -> DAG, for every DAG file in the folder. Raises ImportError naming all files that do not import."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=folder, bundle_path=folder, bundle_name=BUNDLE)
    if bag.import_errors:
        raise ImportError("\n".join(f"{path}:\n{error}" for path, error in bag.import_errors.items()))
    return bag.dags


def register(dag: "DAG") -> None:
    """Let Airflow's database know a DAG that was made in code and is in no file of the DAGs folder."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder="/dev/null", bundle_path=Path("/dev/null"), bundle_name=BUNDLE)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, BUNDLE, None)


def run_dag(dag_id: str, conf: dict[str, Any] | None = None, logical_date: datetime | None = None) -> DagOutcome:
    """Run a DAG of the DAGs folder to its end. Raises KeyError if there is none of that id."""
    from airflow.configuration import conf as settings

    dags = load_dags(Path(settings.get_mandatory_value("core", "dags_folder")))
    return run(dags[dag_id], conf, logical_date)


def run(dag: "DAG", conf: dict[str, Any] | None = None, logical_date: datetime | None = None) -> DagOutcome:
    """Run a DAG to its end. Retries start at once: this process would sleep for as long as their delay.

    `logical_date` needs a time zone. Without it the run is like one that a user triggers: no data interval, no ds.
    """
    dag.deadline = None  # dag.test() fails at one, in 3.3.2: it takes its definition for its id in the database
    for task in dag.tasks:
        _retry_at_once(task)
    return _outcome(dag.test(logical_date=logical_date, run_conf=conf))


def _retry_at_once(task: Any) -> None:
    if task.is_mapped:
        task.partial_kwargs.update(retry_delay=timedelta(0), retry_exponential_backoff=0)
    else:
        task.retry_delay, task.retry_exponential_backoff = timedelta(0), 0


def _outcome(dag_run: "DagRun") -> DagOutcome:
    tasks = {_label(ti.task_id, ti.map_index): ti for ti in dag_run.get_task_instances()}
    return DagOutcome(
        dag_id=dag_run.dag_id,
        state=str(dag_run.state),
        tasks={label: str(ti.state) for label, ti in tasks.items()},
        results=_results(dag_run),
        seconds={label: _seconds(ti) for label, ti in tasks.items()},
    )


def _results(dag_run: "DagRun") -> dict[str, Any]:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    query = XComModel.get_many(run_id=dag_run.run_id, dag_ids=dag_run.dag_id, key="return_value")
    with create_session() as session:
        rows: Iterable[Any] = session.scalars(query)
        return {_label(row.task_id, row.map_index): XComModel.deserialize_value(row) for row in rows}


def _label(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


def _seconds(ti: "TaskInstance") -> float:
    return (ti.end_date - ti.start_date).total_seconds() if ti.start_date and ti.end_date else 0.0


def _keep_the_api_server() -> None:
    """Airflow 3.2 builds its in-process API server anew for every task, which takes 3 s; later ones keep it."""
    from airflow.sdk.execution_time import supervisor

    if not hasattr(supervisor.in_process_api_server, "cache_clear"):
        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
