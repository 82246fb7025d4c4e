"""
### All customers into Opti-X by many workers

The load of `optix_nightly_snapshot`, for those who have outgrown one machine: `read` is mapped over ranges of the
customers' ids, which workers read side by side, and `freeze` makes records of what each has read; `plan` compares all
rows, `send` is mapped over shards, which workers send side by side, and `commit` makes all of it visible at once. It is
one load, with one batch and one account, as with a single task.

It pays off from some millions of rows on, where the account's rate allows more than one machine can send. Workers share
nothing but staging: set `[optimove] staging` to an object store, or to a folder that all of them see.

**Trigger form:** `shards` says into how many shards the rows are cut; empty, one each million rows.

**If it fails:** nothing is visible before `commit` has succeeded. A red `send` that is cleared, with what comes after
it (Downstream), sends what has no answer yet. If `commit` says that the batch is too old, or that another load came in
between, clear `parts` with what comes after it.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param

from optimove_provider.operators.optix import OptixCreateConnectionOperator
from optimove_provider.operators.sharded import sync_in_shards

with DAG(
    "optix_in_shards",
    schedule="0 4 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "example"],
    params={
        "shards": Param(None, type=["null", "integer"], minimum=1, maximum=1024, description="Into how many shards"),
    },
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(hours=2)},
):
    connection = OptixCreateConnectionOperator(
        task_id="connection", name="CDNOW customers in shards", primary_key="customerId"
    )
    rows: dict[str, Any] = {
        "sql": "sql/customer_profiles.sql",
        "sql_conn_id": "warehouse_default",
        "mode": "changed",
        "source_is": "snapshot",
        "shards": "{{ params.shards or 'off' }}",
        "readers": 2,
        "shard_by": '"customerId"',
        "shard_bounds": ["12000"],  # ids are texts of five digits; of whole numbers none need be given
    }
    sync_in_shards("customers", workers=2, data_connection_uuid=connection.output, primary_key="customerId", **rows)
