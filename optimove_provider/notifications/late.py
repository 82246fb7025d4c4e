"""What a deadline of a DAG calls: the only one that tells of a run whose process was killed, or that never came.

DAG(..., deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(hours=3),
    callback=SyncCallback("optimove_provider.notifications.late.tell_late")))
"""

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


def tell_late(context: Mapping[str, Any] | None = None, **told: Any) -> None:
    """Say in the log which run is late. Airflow gives the run and its deadline, and nothing of its tasks.

    :param context: what Airflow gives to the callback of a deadline.
    """
    about = context or {}
    run, deadline = about.get("dag_run") or {}, about.get("deadline") or {}
    log.error(
        "run %s of %s is not through by its deadline, %s: look at its tasks, and at the Sync history for what its "
        "loads have done so far",
        run.get("dag_run_id") or run.get("run_id", "?"),
        run.get("dag_id", "?"),
        deadline.get("deadline_time", "?"),
    )
