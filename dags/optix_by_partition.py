"""
### Customers touched each day, as partitions of an asset

Like `optix_incremental`, but each run is a *partition*, a day with a key, of the asset `cdnow_customers_in_optix`. What
waits for that asset runs once a day's customers have arrived, with the same key: here the DAG `after_optix_partition`.

**One day again:** trigger with the day as partition key, such as `1998-06-20`. **Any span:** with `since` and `until`,
whole days of the DAG's zone; `until` is left out. Days of another zone: change that of the schedule.

**What the consumer needs:** that it is switched on *before* a day arrives, since a paused DAG never hears of it; that
the run has a partition key, which one with `since` and `until` alone has not; and that the load succeeds.

**To back-fill:** Trigger > Backfill, with the first and the last day. The order does not matter: rows for which Opti-X
has a newer day are not sent, and are counted as `stale`. The consumer runs for each of the days.

**Needs** the pool `optix`: `airflow pools set optix 2 "loads to Opti-X at a time"`. Running loads share the
limit `requests_per_10s` of the connection: give it the account's.

**Trigger form:** with `recreate`, the uuid of a data connection that is gone, another one is made in its place, once.
Under *Guards* stands how far this run may go before it is taken for an accident.

**If it fails:** the log of `upload` says what was read, sent and refused, and whether anything is visible in Opti-X.
The consumer does not run. Mend the cause and clear the task: it selects the same day again.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, PartitionedAssetTimetable, get_current_context, task

from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator

CUSTOMERS = Asset("cdnow_customers_in_optix", uri="optix://optix_default/cdnow-customers-by-partition")
START = datetime(1997, 1, 1)  # backfills reach back to here

with DAG(
    "optix_by_partition",
    # At midnight, for the day that has just ended.
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=START,
    catchup=False,
    max_active_runs=1,  # a backfill has a limit of its own
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
        name="CDNOW customers by partition",
        primary_key="customerId",
        recreate="{{ params.recreate or '' }}",
        max_active_tis_per_dag=1,  # of the runs of a backfill, one creates it
    )
    OptixUploadOperator(
        task_id="upload",
        data_connection_uuid=connection.output,
        primary_key="customerId",
        sql="sql/customers_touched.sql",
        sql_conn_id="warehouse_default",
        mode="changed",
        source_is="delta",
        guards=guards_of_run("delta"),
        outlets=[CUSTOMERS],
    )

with DAG(
    "after_optix_partition",
    schedule=PartitionedAssetTimetable(assets=CUSTOMERS),
    start_date=START,
    catchup=False,
    doc_md="""
### What runs when a day's customers have arrived in Opti-X

It waits for partitions of the asset `cdnow_customers_in_optix`, which `optix_by_partition` makes: put here what needs
them, such as a campaign. Switch it on before a day arrives: of days that arrive while it is paused it never hears.

**To back-fill:** back-fill `optix_by_partition`.

**If it fails:** clear the task. The customers are in Opti-X already.
""",
    tags=["optimove", "opti-x", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5), "execution_timeout": timedelta(hours=2)},
):

    @task
    def tell() -> str | None:
        """Return the key of the partition that arrived."""
        return get_current_context()["dag_run"].partition_key

    tell()
