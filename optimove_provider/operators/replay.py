"""A DAG that does for the loads of another one what its Sync history offers: each click is a run of it.

Two lines beside the DAG whose loads they are for:

    from optimove_provider.operators.replay import replay_dag
    again = replay_dag(for_dag="crm_nightly")
"""

import logging
import uuid
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from optimove_provider.addresses import RELEASE, REPLAY, replay_dag_id
from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.tasks.failures import airflow_failures

log = logging.getLogger(__name__)


def replay_dag(*, for_dag: str, optix_conn_id: str = OptixHook.default_conn_name, **settings: Any) -> DAG:
    """The DAG `<for_dag>__replay`, which sends the rejected rows of a load again, or releases the lease of a dead one.

    It takes loads of `for_dag` only, whoever triggers it. Other parameters are the DAG's own, such as default_args or
    access_control. One run at a time.

    :param for_dag: the id of the DAG whose loads it is for.
    :param optix_conn_id: the connection to Opti-X.
    """
    told = (replay_dag.__doc__ or "").partition(":param")[0]
    params = {
        "action": Param(REPLAY, enum=[REPLAY, RELEASE], description="What to do for the load"),
        "load_id": Param("", type="string", description="The load's id, as its report has it"),
    }
    given: dict[str, Any] = {"schedule": None, "catchup": False, "max_active_runs": 1, "tags": ["optimove"]}
    given |= {"is_paused_upon_creation": False, **settings}  # only clicks run it
    with DAG(replay_dag_id(for_dag), params=params, doc_md=told, **given) as dag:

        @task(task_id="act", show_return_value_in_logs=False)
        def act(params: Any = None) -> dict[str, Any]:
            """Do what the run was triggered for."""
            with airflow_failures():
                return act_for(for_dag, optix_conn_id, params["action"], params["load_id"])

        act()
    return dag


def act_for(for_dag: str, optix_conn_id: str, action: str, load_id: str) -> dict[str, Any]:
    """Do one thing for a load. Raises SettingsError for a load that is not of `for_dag`, DataError if rows are rejected
    again (the others are committed), and the errors of a replay."""
    from optimove_provider.loads.history.loads import report_of
    from optimove_provider.tasks.staging import staging

    place = staging()
    report = report_of(place, _id(load_id))
    dag_id = str((report or {}).get("run", {}).get("dag_id", "")) if report else ""
    if report is None or dag_id != for_dag:
        raise SettingsError(
            f"load {load_id} is no load of DAG {for_dag!r}, or its report is gone: this DAG acts for loads of that one "
            "only; trigger it from the load's page"
        )
    result = _release(report) if action == RELEASE else _replay(report, optix_conn_id)
    log.info(
        "%s of load %s: %s", action, load_id, ", ".join(f"{name} {result[name]}" for name in _TOLD if name in result)
    )
    return result


_TOLD = ("state", "rows", "accepted", "rejected", "released")


def _id(load_id: str) -> str:
    """The id, if it is one: it becomes part of a path. Raises SettingsError."""
    try:
        return str(uuid.UUID(load_id))
    except ValueError:
        raise SettingsError(f"load_id {load_id!r} is no id of a load: take it from the load's page") from None


def _replay(report: dict[str, Any], optix_conn_id: str) -> dict[str, Any]:
    from optimove_provider.tasks.replay import replay
    from optimove_provider.tasks.staging import staging_url

    name = str(report.get("rejected_file", "")).rpartition("/")[2]
    if not name:
        raise SettingsError(f"load {report['load_id']} has no rejected rows: there is nothing to send again")
    result = replay(f"{staging_url()}/reports/{name}", optix_conn_id)
    if result["rejected"]:
        raise DataError(
            "some rows were rejected again, the others are committed: this replay has a page in the Sync history, with "
            "the reason of each. Mend them, and send them again"
        )
    return result


def _release(report: dict[str, Any]) -> dict[str, Any]:
    from optimove_provider.loads.history.loads import Target
    from optimove_provider.loads.history.record import ledger_of
    from optimove_provider.loads.ledger.lease import release_of
    from optimove_provider.tasks.staging import staging

    found = ledger_of(staging(), Target.of(report["target"]))
    released = found is not None and release_of(found, report["load_id"])
    return {"load_id": report["load_id"], "released": released}
