"""
### A load that is watched: who hears of it when it is bad, and what runs when it has arrived

`watched` tells once when a load becomes bad (it failed, brought too few customers, took too long, or brought what is
too old; or it rejected rows), and once when it is well again: not on every run. Here the notices go to the task's log;
give `send=` a notifier of yours, such as
`SmtpNotifier(to=..., subject="{{ notice.subject }}", html_content="{{ notice.text }}")`, or a function.

A process that was killed tells nothing: for that the DAG has a deadline.

`after_optix_loads` is scheduled on the asset of all loads into Opti-X, and reads from the event what each has done.
With `schedule=optix_asset("<uuid>")` it would run for one data connection alone.

**Trigger form:** with `recreate`, the uuid of a data connection that is gone, another one is made in its place, once.
Under *Guards* stands how far this run may go before it is taken for an accident.

**If it fails:** the notice, or the button "Load report" of the task, says what became of every row. Mend the cause and
clear the task.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from optimove_provider.assets import OPTIX_LOADS
from optimove_provider.notifications.late import tell_late
from optimove_provider.notifications.load import DegradedLoadNotifier, RejectedRowsNotifier
from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator

WATCHES = [
    DegradedLoadNotifier(min_rows=100, max_duration=timedelta(hours=1), max_age=timedelta(days=2)),
    RejectedRowsNotifier(max_rejected=0.01),
]
DEFAULTS = {"retries": 2, "retry_delay": timedelta(minutes=5), "execution_timeout": timedelta(hours=2)}

with DAG(
    "optix_watched",
    schedule="0 5 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "example"],
    params={
        "recreate": Param(None, type=["null", "string"], description="Uuid of one that is gone, to be made anew"),
        **guard_params("snapshot"),
    },
    default_args=DEFAULTS,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(hours=3), callback=SyncCallback(tell_late)
    ),
):
    connection = OptixCreateConnectionOperator(
        task_id="connection",
        name="CDNOW customers, watched",
        primary_key="customerId",
        recreate="{{ params.recreate or '' }}",
    )
    OptixUploadOperator(
        task_id="watched",
        data_connection_uuid=connection.output,
        primary_key="customerId",
        sql="sql/customer_profiles.sql",
        sql_conn_id="warehouse_default",
        source_is="snapshot",
        guards=guards_of_run("snapshot"),
        mode="changed",
        max_rejected=0.1,
        on_success_callback=WATCHES,
        on_failure_callback=WATCHES,
    )

with DAG(
    "after_optix_loads",
    schedule=OPTIX_LOADS,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    doc_md="""
### What runs when a load has arrived in Opti-X, whichever it was

Put here what needs the customers there, such as a campaign, or what keeps book of loads.

**If it fails:** clear the task. The customers are in Opti-X already.
""",
    tags=["optimove", "opti-x", "example"],
    default_args=DEFAULTS,
):

    @task
    def what_arrived(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """The account of each load that made this run."""
        events = triggering_asset_events or {}
        return [dict(event.extra) for asset in events for event in events[asset]]

    what_arrived()
