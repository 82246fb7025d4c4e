"""The buttons of a load's page. Each triggers a run: of the load's own DAG, by a param of that; or of the DAG that the
user has added with `replay_dag(for_dag=...)`, since a provider ships no DAGs. Airflow's own right to trigger that DAG
decides who may press one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from fastapi import HTTPException, Request
from sqlalchemy import select

from optimove_provider.addresses import PARAMS, PLAN, RELEASE, REPLAY, SEND_ALL, replay_dag_id
from optimove_provider.loads.history.loads import Load
from optimove_provider.loads.history.record import manifest_of
from optimove_provider.loads.history.rejected import rejected_path
from optimove_provider.loads.state.staging import Staging
from optimove_provider.surroundings import REAL
from optimove_provider.ui.task_states import RUNNING, WAITING, task_state_of

NAMES: Mapping[str, str] = {
    REPLAY: "Send the rejected rows again",
    RELEASE: "Release the lease of this dead load",
    PLAN: "Plan now",
    SEND_ALL: "Send all rows now",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be done, by which DAG, with which conf, and what stands in the way: a sentence, or nothing."""

    action: str
    dag_id: str
    conf: Mapping[str, Any]
    obstacle: str


def is_sensible(staging: Staging, load: Load, report: Mapping[str, Any], action: str) -> bool:
    """Whether an action makes sense for a load now: it has a DAG, and rejected rows, or a lease though it is dead."""
    if not load.dag_id:
        return False
    if action in PARAMS:
        return load.mode == "changed" or (action == PLAN and load.mode == "full")
    if action == REPLAY:
        return bool(report.get("replay")) and rejected_path(staging, report) is not None
    manifest = manifest_of(staging, load.target)
    holder = manifest.holder if manifest else None
    is_held = holder is not None and holder.load_id == load.load_id and holder.until > staging.surroundings.now()
    return is_held and task_state_of(load) not in (RUNNING, WAITING)


def offer_of(load: Load, action: str, user: Any) -> Offer:
    """What a user is offered: whether there is the DAG, whether it may run, and whether they may trigger it."""
    if param := PARAMS.get(action):
        obstacle = _no_param(load.dag_id, param) or _obstacle(load.dag_id, load.dag_id, user)
        return Offer(action, load.dag_id, {param: True}, obstacle)
    dag_id = replay_dag_id(load.dag_id)
    conf = {"action": action, "load_id": load.load_id}
    return Offer(action, dag_id, conf, _obstacle(load.dag_id, dag_id, user))


def _no_param(dag_id: str, param: str) -> str:
    found = SerializedDagModel.get_dag(dag_id)
    if found is None or param in found.params:
        return ""
    field = "dry_run=" if param == "dry_run" else "mode="
    value = "{{ params.dry_run }}" if param == "dry_run" else "{{ 'full' if params.send_all else 'changed' }}"
    return (
        f"DAG {dag_id!r} has no param {param!r}. Add these two to it:\n"
        f'params={{"{param}": Param(False, type="boolean")}}\n{field}"{value}"'
    )


def _obstacle(for_dag: str, dag_id: str, user: Any) -> str:
    with create_session() as session:
        found = session.execute(select(DagModel.is_paused, DagModel.is_stale).filter_by(dag_id=dag_id)).first()
    if found is None or found.is_stale:
        if dag_id == for_dag:
            return f"DAG {dag_id!r} is gone."
        lines = f"from optimove_provider.operators.replay import replay_dag\nagain = replay_dag(for_dag={for_dag!r})"
        return f"There is no such DAG. Add these two lines to the file of DAG {for_dag!r}:\n{lines}"
    if not _may_trigger(dag_id, user):
        return "You may not trigger this DAG."
    return "This DAG is paused: unpause it first." if found.is_paused else ""


def _may_trigger(dag_id: str, user: Any) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    ask = get_auth_manager().is_authorized_dag
    return ask(method="POST", access_entity=DagAccessEntity.RUN, details=details, user=user)


def trigger(offer: Offer, user: Any) -> str:
    """Trigger the run, in the user's name; returns its id."""
    run = trigger_dag(
        offer.dag_id,
        triggered_by=DagRunTriggeredByType.UI,
        triggering_user_name=user.get_name(),
        run_after=REAL.now(),
        conf=dict(offer.conf),
    )
    if run is None:
        raise HTTPException(409, "Airflow did not take the run. Try again.")
    return str(run.run_id)


def same_origin(request: Request) -> None:
    """Raise HTTPException 403 for a form that another site sends: the login cookie alone would not tell."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "Only from this page.")
