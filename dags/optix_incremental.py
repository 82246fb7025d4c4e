"""
### Customers touched each day, into Opti-X

Every night, the customers who ordered on the day before go to an Opti-X data connection, each with the whole profile as
of the day's end: a record replaces the stored one, so a sum over that day alone would destroy what came before.

**One day again, or any span:** trigger with `since` and `until`, whole days of the DAG's zone; `until` is left
out. For days of another zone, change the one of the schedule.

**To back-fill:** Trigger > Backfill, with the first and the last day. In whatever order and however many at once the
days run, a customer ends up as of the last day: rows for which Opti-X has a newer day are not sent, and are counted as
`stale`. After a correction of old orders choose *All runs* (`--reprocess-behavior completed`).

**A customer whom Opti-X refuses** is in no later day, unless they order again. So their row is *owed*
(`resend_rejected`): it goes again with the next days' loads, as old as it is, five times at most, until Opti-X takes it
or a newer row of that customer comes. The other customers are there, and the task is red all the same, so that
somebody looks at the reason; with `max_rejected=0.1` it would be green up to one row in ten. `airflow optimove ledger
owed` lists what is owed.

**Needs** the pool `optix`: `airflow pools set optix 2 "loads to Opti-X at a time"`. Running loads share the
limit `requests_per_10s` of the connection: give it the account's.

**Trigger form:** with `recreate`, the uuid of a data connection that is gone, another one is made in its place, once.
Under *Guards* stands how far this run may go before it is taken for an accident.

**If it fails:** the log of `upload` says what was read, sent and refused, and whether anything is visible in Opti-X.
Mend the cause and clear the task: it selects the same day again. Later days need not wait for it.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.operators.replay import replay_dag

with DAG(
    "optix_incremental",
    # A plain "0 0 * * *" would give runs without a data interval.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(1997, 1, 1),  # backfills reach back to here
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
        name="CDNOW customers by day",
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
        resend_rejected=True,
    )

# For the buttons about rejected rows and dead loads, of the Sync history.
again = replay_dag(for_dag="optix_incremental")
