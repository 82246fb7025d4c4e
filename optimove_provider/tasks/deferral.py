"""Waiting for another load into the same target: deferred, so that no worker slot is held."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from optimove_provider.kinds import SPAN
from optimove_provider.surroundings import REAL, Surroundings
from optimove_provider.tasks.checked_fields import CheckedOperator
from optimove_provider.tasks.failures import airflow_failures, as_airflow_failure
from optimove_provider.tasks.staging import begin_load, resume_load, staging
from optimove_provider.tasks.telling.operator import TellingOperator
from optimove_provider.tasks.telling.story import run_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.loads.ledger.lease import Held, TargetBusy
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.state.staging import Staging

SHORTEST, LONGEST = timedelta(seconds=12), timedelta(seconds=60)
"""A trigger that fires within 10 s of the deferral can get its task failed: apache/airflow#72716."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A load that may have to wait: its id, when the wait began (epoch seconds), and how often it has waited."""

    load_id: str
    since: float
    times: int = 0

    @property
    def waited(self) -> bool:
        """Whether this try has begun before."""
        return self.times > 0

    @classmethod
    def begin(cls, load_id: str, surroundings: Surroundings) -> "Waiting":
        """A load that begins now."""
        return cls(load_id, surroundings.now().timestamp())


class WaitingOperator(CheckedOperator):
    """An operator that waits, deferred, while another load works on its target."""

    lock_timeout: timedelta | float
    surroundings: Surroundings = REAL

    def staging(self) -> "Staging":
        """Where the load keeps its state."""
        return staging(self.surroundings)

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the load, or of its part; returns the task's result. Raises TargetBusy."""
        raise NotImplementedError

    def around(self, context: "Context", load_id: str) -> AbstractContextManager[None]:
        """What is around each try."""
        return nullcontext()

    def take_turn(self, context: "Context", load_id: str) -> dict[str, Any]:
        """Load, or defer until it may be this load's turn."""
        return self._try(context, Waiting.begin(load_id, self.surroundings))

    def resume(self, context: "Context", event: Any, waiting: dict[str, Any]) -> dict[str, Any]:
        """Go on after waiting for another load."""
        self.read_rendered()
        with airflow_failures():
            resume_load(self.staging(), waiting["load_id"])
        return self._try(context, Waiting(**waiting))

    def _try(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        from optimove_provider.loads.ledger.lease import TargetBusy

        with self.around(context, waiting.load_id):
            try:
                with airflow_failures(passing=TargetBusy):
                    return self.load(context, waiting)
            except TargetBusy as busy:
                self._wait_for(busy, waiting)

    def _wait_for(self, busy: "TargetBusy", waiting: Waiting) -> NoReturn:
        """Defer for a while.

        Raises AirflowException, which names the holder, once `lock_timeout` is over.
        """
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        waited = timedelta(seconds=self.surroundings.now().timestamp() - waiting.since)
        with airflow_failures():
            longest = as_timedelta("lock_timeout", self.lock_timeout)
        if waited > longest:
            raise as_airflow_failure(
                f"{busy}. It was waited for {waited}; raise lock_timeout to wait longer", retry_helps=True
            ) from None
        pause = self._pause(busy.held, waiting)
        self.log.info("%s; trying again in %.0f s", busy, pause.total_seconds())
        again = Waiting(waiting.load_id, waiting.since, waiting.times + 1)
        self.defer(trigger=TimeDeltaTrigger(pause), method_name="resume", kwargs={"waiting": asdict(again)})

    def _pause(self, held: "Held", waiting: Waiting) -> timedelta:
        """Each time longer, since most loads are short; but an earlier try of this load is dead, so until the end of
        the lease that it has left."""
        if held.load_id == waiting.load_id:
            return min(max(held.until - self.surroundings.now(), SHORTEST), LONGEST)
        return min(SHORTEST * (1 << min(waiting.times, 3)), LONGEST)


class LoadingOperator(TellingOperator, WaitingOperator):
    """An operator that loads: it waits for its turn, and tells Airflow what it did."""

    def begin(self, context: "Context") -> dict[str, Any]:
        """Begin the load of this try, or take up that of the try before."""
        with airflow_failures():
            load_id = begin_load(self.staging(), context)
        return self.take_turn(context, load_id)

    def around(self, context: "Context", load_id: str) -> AbstractContextManager[None]:
        """Tell Airflow of it."""
        return self.telling(context, load_id)


def task_of(context: "Context") -> str:
    """What people call a task instance: its DAG and task, its run, and which of the mapped ones it is; without a DAG,
    who loads."""
    ti = context["ti"]
    if not ti.dag_id:
        return str(ti.task_id)
    mapped = "" if ti.map_index is None or ti.map_index < 0 else f" [{ti.map_index}]"
    return f"task {ti.dag_id}.{ti.task_id}{mapped} of run {ti.run_id}"


def begun_report(
    context: "Context | None", place: "Staging", load_id: str, target: Mapping[str, Any], mode: str
) -> "Report":
    """The report of a load that begins now. Staging knows of it, and of whose it is, before anything is sent."""
    from optimove_provider.loads.report.begun import tell_begun
    from optimove_provider.loads.report.report import Report

    task, run = (task_of(context), run_of(context)) if context else ("", {})
    report = Report(load_id, target, task=task, run=run, mode=mode, tries_left=tries_left(context))
    tell_begun(place, report)
    return report


def tries_left(context: "Context | None") -> int | None:
    """How often Airflow will try a task again after this try; None where no task is behind it."""
    if not context:
        return None
    ti = context["ti"]
    return max((ti.max_tries or 0) + 1 - ti.try_number, 0)


def as_timedelta(name: str, given: timedelta | float) -> timedelta:
    """A span that may be given in seconds. Raises SettingsError, with the field's name, for what is none."""
    span: timedelta = SPAN.literal(name, given)
    return span
