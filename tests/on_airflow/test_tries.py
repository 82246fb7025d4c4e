"""What the simulation takes for Airflow's count of tries is Airflow's: the same moves make the same of both."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from random import Random

import pytest
from airflow.models.dagbag import DBDagBag
from airflow.models.taskinstance import clear_task_instances
from airflow.models.trigger import handle_event_submit
from airflow.sdk import DAG
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.demo import journey
from optimove_provider.loads.state.load_id import TaskTry, begin
from optimove_provider.loads.state.staging import Staging
from optimove_provider.operators.optix import OptixUploadOperator
from optimove_provider.surroundings import REAL
from tests.simulation.task_instance import RETRIES, TaskInstance

DAG_ID, TASK_ID = "tries_of_a_load", "upload"
MAY_FOLLOW = {
    None: ("schedule",),
    "scheduled": ("run",),
    "running": ("defer", "succeed", "fail", "fail", "fail_at_once", "clear", "clear", "mark_failed", "delete"),
    "restarting": ("fail",),
    "deferred": ("schedule", "schedule", "clear", "mark_failed"),
    "up_for_retry": ("schedule", "schedule", "clear"),
    "failed": ("clear", "clear", "delete"),
    "success": ("clear", "clear", "delete"),
}
"""Which moves there are in a state."""


class RealInstance:
    """The same moves as `TaskInstance` has, made by Airflow's own code on a task instance of its database."""

    def __init__(self, session):
        self._session = session
        self._dag = DBDagBag().get_latest_version_of_dag(DAG_ID, session=session)
        self._make()

    def _make(self):
        now = datetime.now(UTC)
        self._run = self._dag.create_dagrun(
            run_id="one",
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=self._session,
        )
        self._instance.refresh_from_task(self._dag.get_task(TASK_ID))

    @property
    def _instance(self):
        (found,) = self._run.get_task_instances(session=self._session)
        found.task = self._dag.get_task(TASK_ID)
        return found

    def told(self):
        self._session.flush()
        self._session.expire_all()
        found = self._instance
        return found.state and str(found.state), found.try_number, found.max_tries

    def schedule(self):
        found = self._instance
        if found.state == TaskInstanceState.DEFERRED:
            handle_event_submit(TriggerEvent({}), task_instance=found, session=self._session)
        else:
            self._run.schedule_tis([found], session=self._session)

    def run(self):  # as the API server does for a worker
        self._instance.state = TaskInstanceState.RUNNING

    def defer(self):
        found = self._instance
        found.state, found.next_method, found.next_kwargs = TaskInstanceState.DEFERRED, "execute_complete", {}

    def succeed(self):
        self._instance.state = TaskInstanceState.SUCCESS

    def fail(self):  # as the scheduler does where a process is gone
        self._instance.handle_failure("its process is gone", session=self._session)

    def fail_at_once(self):  # as the API server does for AirflowFailException
        self._instance.state = TaskInstanceState.FAILED

    def clear(self):
        clear_task_instances([self._instance], self._session)

    def mark_failed(self):
        self._dag.set_task_instance_state(
            task_id=TASK_ID, run_id="one", state=TaskInstanceState.FAILED, session=self._session
        )

    def delete(self):
        self._session.delete(self._run)
        self._session.flush()
        self._make()


class Moved(TaskInstance):
    def told(self):
        return self.state, self.try_number, self.max_tries

    def fail_at_once(self):
        self.fail(retry_helps=False)


class Loads:
    """The ids of the loads that tries begin, in a staging of their own."""

    def __init__(self, folder):
        numbers = count(1)
        self._staging = Staging(LocalFileSystem(), str(folder), replace(REAL, nanoseconds=lambda: next(numbers)))

    def begun(self, try_number, max_tries):
        return begin(self._staging, TaskTry(DAG_ID, TASK_ID, "one", -1, try_number, max_tries, RETRIES))


@pytest.fixture
def session(airflow_db):
    with DAG(DAG_ID, schedule=None) as dag:
        OptixUploadOperator(
            task_id=TASK_ID, source=[{"id": "1"}], data_connection_uuid="x", primary_key="id", retries=RETRIES
        )
    journey.register(dag)
    with create_session() as session:
        yield session
        session.rollback()


def test_the_same_moves_make_the_same_of_both(session, tmp_path):
    chance, real, model = Random(7), RealInstance(session), Moved()  # noqa: S311
    their_loads, our_loads, made = Loads(tmp_path / "theirs"), Loads(tmp_path / "ours"), []
    for _ in range(150):
        made.append(chance.choice(MAY_FOLLOW[model.state]))
        for one in (real, model):
            getattr(one, made[-1])()
        assert real.told() == model.told(), made
        if made[-1] == "run":
            _, *tries = real.told()
            assert their_loads.begun(*tries) == our_loads.begun(model.try_number, model.max_tries), made
    assert set(made) == {move for moves in MAY_FOLLOW.values() for move in moves}
