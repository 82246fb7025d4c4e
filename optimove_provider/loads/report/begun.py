"""Loads that have begun and have told nothing yet: what is known of one that waits, or whose process was killed.

`begun/<load id>.json` is there from before the first request until the report is filed. `targets/<target>/writers/`
has, for as long as the target's ledger, which DAGs ever wrote there: who may not read all of them is shown no record.
"""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from optimove_provider.loads.state.staging import Staging

if TYPE_CHECKING:
    from optimove_provider.loads.report.report import Report

FOLDER = "begun"
NO_DAG = ""
"""Stands for whoever writes without a DAG, such as the command line."""
_DAGS = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/airflow-provider-optimove/dags")


def tell_begun(staging: Staging, report: "Report") -> None:
    """Write down, before anything is sent, that a load has begun, and which DAG writes to its target."""
    report.began = report.began or staging.surroundings.now().isoformat()
    told = {"target": dict(report.target), "task": report.task, "run": dict(report.run), "mode": report.mode}
    staging.write(f"{FOLDER}/{report.load_id}.json", {"load_id": report.load_id, "began": report.began, **told})
    _add_writer(staging, report.target, str(report.run.get("dag_id", NO_DAG)))


def over(staging: Staging, load_id: str) -> None:
    """The report is filed, and tells all. What cannot be removed is older than it, and counts no more."""
    with suppress(Exception):
        staging.remove(f"{FOLDER}/{load_id}.json")


def writers(staging: Staging, target: Mapping[str, Any]) -> set[str]:
    """The ids of all DAGs that ever began to write to a target; NO_DAG among them where something else did."""
    folder = _writers_of(target)
    found = staging.read_together([f"{folder}/{name}" for name in staging.names(folder)])
    return {str(one["dag_id"]) for one in found.values()}


def _add_writer(staging: Staging, target: Mapping[str, Any], dag_id: str) -> None:
    path = f"{_writers_of(target)}/{uuid.uuid5(_DAGS, dag_id)}.json"
    if staging.read_whole(path) is None:
        staging.write(path, {"dag_id": dag_id})


def _writers_of(target: Mapping[str, Any]) -> str:
    kind = "optix" if "optix" in target else "dcp"
    return f"targets/{kind}-{target[kind]}/writers"
