"""
### Customers who asked to be removed, out of Opti-X and kept out

Trigger it with the keys of customers that `optix_nightly_snapshot` loads. Their records expire in Opti-X, whether or
not a load of ours brought them, and no later load brings them back, although the warehouse may have them still: the
keys are on the data connection's suppression list, as digests.

**The proof** is the file that the report of `remove` names: key by key, when it was sent, in which batch, and how that
was answered.

**Then** `airflow optimove forget KEY` takes the key out of what staging keeps: reports, rejected rows, the ledger.
`airflow optimove suppressions remove` lets a customer come back.

Keys in the trigger form stay in Airflow's database, as the run's configuration. Where keys are personal, such as mail
addresses, let `sql=` find them in a table of requests instead.

**If it fails:** the log says whether anything was made to expire. Mend the cause and clear the task.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param

from optimove_provider.operators.optix import OptixCreateConnectionOperator
from optimove_provider.operators.optix_expire import OptixExpireOperator

with DAG(
    "optix_remove_customers",
    schedule=None,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "example"],
    params={"keys": Param([], type="array", items={"type": "string"}, description="Keys of customers, one a line")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    connection = OptixCreateConnectionOperator(
        task_id="connection",
        name="CDNOW customers by night",
        primary_key="customerId",
    )
    OptixExpireOperator(
        task_id="remove",
        data_connection_uuid=connection.output,
        primary_key="customerId",
        keys="{{ params['keys'] | tojson }}",
        suppress=True,
    )
