"""
### An order without a customer, and its correction, in the warehouse of `make up`

Stands for the shop that fills the warehouse, so that a load has something to reject. Not to be copied.

1. Trigger it as it is: the warehouse gets an order of 4 March 1997 without a customer's id.
2. Back-fill that day with `optix_incremental`, from 1997/03/04 to 1997/03/04: its `upload` rejects the row, sends
   nothing, and turns red. (Airflow takes one backfill of a DAG at a time: wait until the blue bar of another is gone.
   If the day was loaded before: clear its `upload`.)
3. The tab *Sync history* of the red task shows its load: *Read the rejected rows* has the row, and why.
4. Trigger this again with a `customer_id`, such as `00004`: the order gets it.
5. Clear the red `upload`: it reads the day again, and sends all of it.

**If it fails:** the log has the database's words. Nothing was changed then.
"""

from datetime import timedelta

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Param

with DAG(
    "demo_order",
    schedule=None,
    is_paused_upon_creation=False,
    doc_md=__doc__,
    tags=["optimove", "demo"],
    params={
        "customer_id": Param(
            None,
            type=["null", "string"],
            pattern="^[0-9]{0,5}$",
            description="Empty: an order without a customer. Five digits: the customer whose orders those are",
        ),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=10)},
):
    SQLExecuteQueryOperator(task_id="write", sql="sql/demo_order.sql", conn_id="warehouse_default")
