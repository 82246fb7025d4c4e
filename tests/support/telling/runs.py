"""A DAG made in a test, run by real Airflow, and everything that its tasks told Airflow meanwhile."""

from dataclasses import dataclass, field
from typing import Any

from optimove_provider.demo import journey

SECRET_VALUE = "Ada-Lovelace-1815"
"""In a row that is sent: nobody may be told of it but the log."""


@dataclass
class Run:
    """What a run left in Airflow's database: states and XComs of its tasks, mapped ones as `task_id[map index]`, and
    asset events as (task, URI, extra)."""

    states: dict[str, str] = field(default_factory=dict)
    xcoms: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)


def run(dag: Any) -> Run:
    """Run the DAG to its end."""
    from airflow.models.asset import AssetEvent
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    journey.register(dag)
    for task in dag.tasks:
        journey._retry_at_once(task)
    dag_run = dag.test()
    found = Run({_label(ti.task_id, ti.map_index): str(ti.state) for ti in dag_run.get_task_instances()})
    with create_session() as session:
        for row in session.scalars(XComModel.get_many(run_id=dag_run.run_id, dag_ids=dag_run.dag_id)):
            found.xcoms.setdefault(_label(row.task_id, row.map_index), {})[row.key] = XComModel.deserialize_value(row)
        for event in session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == dag_run.run_id)):
            label = _label(event.source_task_id, event.source_map_index)
            found.events.append((label, event.asset.uri, dict(event.extra)))
    return found


def _label(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"
