"""
### A CSV file into Dynamic Customer Profiles

Ensures the service, a table and its attributes, checks the file, uploads it for import, and waits until it is imported:
the steps of [the vendor's guide](https://docs.developers.optimizely.com/web-experimentation/docs/customer-profiles).
Give another file in the trigger form; its header names `customerId` and registered attributes.

**If it fails:** `validate` names every bad row, line, column and value, and nothing has been uploaded then.
`wait_for_import` shows the words of the upload history: if it is red, clear `upload`, not the sensor, which would only
find the same file again.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param

from optimove_provider.operators.csv import ValidateCsvOperator
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from optimove_provider.sensors.dcp import DcpUploadSensor

EXAMPLE = str(Path(__file__).parent / "data" / "customers.csv")

with DAG(
    "dcp_csv_import",
    schedule=None,
    max_active_runs=1,  # two runs at once might both create the table
    doc_md=__doc__,
    tags=["optimove", "dcp", "example"],
    params={"source": Param(EXAMPLE, type="string", description="A path, or a URL such as s3://conn_id@bucket/key")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
):
    service = DcpCreateServiceOperator(task_id="service", name="Customer profiles")
    table = DcpCreateTableOperator(
        task_id="table",
        service_id=service.output,
        name="Shop customers",
        keyfield_locator_type="cookie",
        keyfield_locator_name="logged_in_id",
    )
    attributes = DcpRegisterAttributesOperator(
        task_id="attributes",
        table_id=table.output,
        attributes=[
            {"name": "most_viewed_category", "datatype": "string"},
            {"name": "LTV", "datatype": "long", "description": "lifetime value in dollars"},
        ],
    )
    validate = ValidateCsvOperator(task_id="validate", source="{{ params.source }}", table_id=attributes.output)
    upload = DcpS3ImportOperator(task_id="upload", source="{{ params.source }}", table_id=table.output)
    wait_for_import = DcpUploadSensor(
        task_id="wait_for_import",
        table_id=table.output,
        s3_key=upload.output,
        poke_interval=30,
        timeout=timedelta(hours=2),
        deferrable=True,
    )
    validate >> upload >> wait_for_import
