"""What Airflow says of the tasks behind loads that have told nothing: are they at work, or were they killed?"""

from collections.abc import Iterable
from itertools import islice

from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select

from optimove_provider.loads.history.loads import BEGUN, Load

MOST = 100
"""Loads that are asked for at once."""
_AT_WORK = {"running", "restarting"}
_WAITING = {"deferred", "queued", "scheduled", "up_for_retry", "up_for_reschedule"}
RUNNING, WAITING, DIED, UNTOLD = "running", "waiting", "died", "untold"


def states_of(loads: Iterable[Load]) -> dict[str, str]:
    """By load id: running, waiting, died (killed before it could write a report), or untold, where nobody knows."""
    silent = islice((load for load in loads if load.state == BEGUN), MOST)
    return {load.load_id: task_state_of(load) for load in silent}


def task_state_of(load: Load) -> str:
    """The same of one load."""
    return _state(_of_task(load))


def _of_task(load: Load) -> str | None:
    if not load.run_id:
        return None
    named = {"dag_id": load.dag_id, "task_id": load.task_id, "run_id": load.run_id, "map_index": load.map_index}
    with create_session() as session:
        state: str | None = session.scalars(select(TaskInstance.state).filter_by(**named)).first()
    return state and str(state)


def _state(of_task: str | None) -> str:
    if of_task is None:
        return UNTOLD
    return RUNNING if of_task in _AT_WORK else WAITING if of_task in _WAITING else DIED
