"""What Airflow says of other tasks of the same run."""

import logging
from typing import TYPE_CHECKING

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
