"""
### All customers into Opti-X every night, of which only what changed is sent

One query gives one row a customer, with the whole profile: a record replaces the stored one, so a field that is not
selected is removed. The rows are compared with what Opti-X took before, and only new and changed ones are sent.

Customers whom the query no longer gives are listed in the report and stay in Opti-X; `on_removed="expire"` in the
DAG's file lets them expire.

**Trigger form:** with `send_all`, every row is sent. Do that once in a while, and after anyone else has written to the
data connection: the comparison knows only what was sent from here.
With `recreate`, the uuid of a data connection that is gone, another one is made in its place, once. Under *Guards*
stands how far this run may go before it is taken for an accident.

**Not to be back-filled:** the query reads the warehouse as it is now, whatever the date of the run.

**Needs** the pool `optix`: `airflow pools set optix 2 "loads to Opti-X at a time"`. Running loads share the
limit `requests_per_10s` of the connection: give it the account's.

**If it fails:** the log says whether anything is visible in Opti-X. If it names a guard (an empty query, half of the
rows gone, a column without values, half of the customers changed), look at the warehouse first. If that is right,
trigger a run that lets it through: the form has the guards. Otherwise mend it and clear the task.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, task

from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.operators.replay import replay_dag

with DAG(
    "optix_nightly_snapshot",
    schedule="0 4 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "example"],
    params={
        "recreate": Param(None, type=["null", "string"], description="Uuid of one that is gone, to be made anew"),
        "send_all": Param(False, type="boolean", description="Send the rows that did not change, too"),
        "dry_run": Param(False, type="boolean", description="Plan only, and send nothing"),
        **guard_params("snapshot"),
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
        name="CDNOW customers by night",
        primary_key="customerId",
        recreate="{{ params.recreate or '' }}",
    )

    @task.branch(pool="default_pool")
    def how_much(params: dict[str, bool] | None = None) -> str:
        """The upload that is to run."""
        return "send_all" if params and params["send_all"] else "send_changes"

    target = {"data_connection_uuid": connection.output, "primary_key": "customerId"}
    rows = {
        "sql": "sql/customer_profiles.sql",
        "sql_conn_id": "warehouse_default",
        "source_is": "snapshot",
        "guards": guards_of_run("snapshot"),
        "dry_run": "{{ params.dry_run }}",  # for the buttons "Plan now" and "Send all rows now" of the Sync history
    }
    changes = OptixUploadOperator(task_id="send_changes", mode="changed", **target, **rows)
    everything = OptixUploadOperator(task_id="send_all", mode="full", **target, **rows)
    how_much() >> [changes, everything]

# For the buttons about rejected rows and dead loads.
again = replay_dag(for_dag="optix_nightly_snapshot")
