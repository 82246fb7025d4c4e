"""
### Customers touched each day, stamped, and those who have lapsed taken out again

Like `optix_incremental`, with a column that says which rows are deletions: customers whose last order was a year ago
come with `is_deleted` 1, and their records expire in Opti-X once the others are there. The column itself is not sent.

Each record carries when it was synced, and by which run. A customer who did not change keeps the stamp that was sent:
it says when Opti-X got this record, and never is a reason to send one.

**One day again, or any span:** trigger with `since` and `until`, whole days of the DAG's zone; `until` is left out.

**To back-fill:** Trigger > Backfill, with the first and the last day. The order does not matter: a deletion for which
Opti-X has a newer row does nothing, and an older row does not bring back who was deleted.

**Needs** the pool `optix`: `airflow pools set optix 2 "loads to Opti-X at a time"`.

**Trigger form:** with `recreate`, the uuid of a data connection that is gone, another one is made in its place, once.
Under *Guards* stands how far this run may go before it is taken for an accident.

**If it fails:** the log says whether anything is visible in Opti-X. If it names `max_removed_share`, more than a fifth
of the customers would go: look at the query first. Then clear the task.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator

with DAG(
    "optix_with_deletions",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(1997, 1, 1),  # backfills reach back to here
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "example"],
    params={
        "recreate": Param(None, type=["null", "string"], description="Uuid of one that is gone, to be made anew"),
        "since": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description="Start of a window by hand. In a backfill it does nothing: each run has its day",
        ),
        "until": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description="Its end, which is left out. In a backfill it does nothing",
        ),
        **guard_params("delta"),
    },
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=2),
        "pool": "optix",
    },
):
    connection = OptixCreateConnectionOperator(
        task_id="connection",
        name="CDNOW customers with deletions",
        primary_key="customerId",
        recreate="{{ params.recreate or '' }}",
        max_active_tis_per_dag=1,  # of the runs of a backfill, one creates it
    )
    OptixUploadOperator(
        task_id="upload",
        data_connection_uuid=connection.output,
        primary_key="customerId",
        sql="sql/customers_touched_and_lapsed.sql",
        sql_conn_id="warehouse_default",
        mode="changed",
        source_is="delta",
        deleted_column="is_deleted",
        guards=guards_of_run("delta"),
        stamp={"synced_at": "{{ dag_run.run_after }}", "run_id": "{{ run_id }}"},
    )
