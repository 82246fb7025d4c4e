"""
### Customer profiles from the warehouse into both stores, every night

One query gives one row a customer. The rows go to an Opti-X data connection, visible all at once, and as a validated
CSV file to a DCP table, where a sensor waits until they are imported.

The query selects each customer's whole profile: in Opti-X a record replaces the stored one, so a field that is not
selected is removed.

**Trigger form:** with `recreate`, the uuid of a data connection that is gone, another one is made in its place, once.
Under *Guards* stands how far this run may go before it is taken for an accident.

**If it fails:** the log of the red task says what was read, sent and refused, and whether Opti-X shows anything of it.
A file with a bad row is not uploaded to DCP. Mend the query or the data, and clear the task. If `dcp_wait` is red, the
file was not imported: clear `dcp_upload`, not the sensor, which would only find the same file again.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param

from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.sensors.dcp import DcpUploadSensor

PROFILES = {"sql": "sql/customer_profiles.sql", "sql_conn_id": "warehouse_default"}

with DAG(
    "warehouse_to_profiles",
    schedule="0 4 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "dcp", "example"],
    params={
        "recreate": Param(None, type=["null", "string"], description="Uuid of one that is gone, to be made anew"),
        **guard_params("delta"),
    },
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5), "execution_timeout": timedelta(hours=2)},
):
    connection = OptixCreateConnectionOperator(
        task_id="optix_connection",
        name="CDNOW customers",
        primary_key="customerId",
        recreate="{{ params.recreate or '' }}",
    )
    OptixUploadOperator(
        task_id="optix_upload",
        data_connection_uuid=connection.output,
        primary_key="customerId",
        guards=guards_of_run("delta"),
        **PROFILES,
    )

    service = DcpCreateServiceOperator(task_id="dcp_service", name="Customer profiles")
    table = DcpCreateTableOperator(
        task_id="dcp_table",
        service_id=service.output,
        name="CDNOW customers",
        keyfield_locator_type="cookie",
        keyfield_locator_name="customer_id",
    )
    attributes = DcpRegisterAttributesOperator(
        task_id="dcp_attributes",
        table_id=table.output,
        attributes=[
            {"name": "orders", "datatype": "long"},
            {"name": "cds", "datatype": "long"},
            {"name": "lifetime_value", "datatype": "double"},
            {"name": "first_order", "datatype": "datetime", "format": "yyyy-mm-dd"},
            {"name": "last_order", "datatype": "datetime", "format": "yyyy-mm-dd"},
        ],
    )
    upload = DcpS3ImportOperator(task_id="dcp_upload", table_id=attributes.output, **PROFILES)
    DcpUploadSensor(
        task_id="dcp_wait",
        table_id=table.output,
        s3_key=upload.output,
        poke_interval=60,
        timeout=timedelta(hours=6),
        deferrable=True,
    )
