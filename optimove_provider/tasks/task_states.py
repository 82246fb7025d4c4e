"""What Airflow says of other tasks of the same run."""

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.contract.wire.errors import SettingsError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

_ENDED = {"success", "failed", "skipped", "upstream_failed"}


def has_ended(context: "Context", task_id: str) -> bool:
    """Whether a task of this run has ended, and was not cleared since. False where Airflow does not answer."""
    ti = context["ti"]
    try:
        found = ti.get_task_states(ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id])
    except Exception as error:  # what is found out is a mistake of a person's, which a test run cannot make
        log.info("Airflow does not tell the state of %s: %s", task_id, error)
        return False
    return str(found.get(ti.run_id, {}).get(task_id)) in _ENDED


def refuse_to_run_alone(first: BaseOperator, context: "Context", told: str) -> None:
    """A new load is of no use to those tasks of its group that worked on the old one, and do not run again: those which
    are given, as `told`, what this task tells of its load. Raises SettingsError; not for a teardown."""
    after = first.get_flat_relatives(upstream=False)
    bound = [one for one in after if not one.is_teardown and _may_be_of(getattr(one, told, None), first)]
    if ended := [one.task_id for one in bound if has_ended(context, one.task_id)]:
        raise SettingsError(
            f"{first.task_id} was cleared, and {', '.join(ended)} was not: a new load would be begun, and nothing of "
            "it sent. Nothing was done. Clear this task with all that comes after it (Downstream)"
        )


def _may_be_of(told: Any, first: BaseOperator) -> bool:
    """Whether a task is given what the other one tells, or nobody can tell."""
    of = getattr(told, "operator", None)
    return told is not None and (of is None or of.task_id == first.task_id)
