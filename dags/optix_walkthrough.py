"""
### The Opti-X walkthrough

Creates an upload-based data connection, uploads a CSV file to it, then a single record, and overwrites one: the steps
of [the vendor's walkthrough](https://developer.optimove.com/docs/walkthrough-example-for-an-upload-data-connection).

Run it as often as you like: the data connection is created once, and a record replaces the stored one of the same key.

**Trigger form:** with `recreate`, the uuid of a data connection that is gone, another one is made in its place, once.

**If it fails:** the task's log names the row, the file or the connection's field, and what to do, and
whether anything is visible in Opti-X. Clear the task once the cause is mended.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param

from optimove_provider.operators.optix import (
    OptixCreateConnectionOperator,
    OptixUpdateOperator,
    OptixUploadOperator,
)

with DAG(
    "optix_walkthrough",
    schedule=None,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "example"],
    params={"recreate": Param(None, type=["null", "string"], description="Uuid of one that is gone, to be made anew")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
):
    create_connection = OptixCreateConnectionOperator(
        task_id="create_connection",
        name="New Test DC",
        primary_key="user_id",
        recreate="{{ params.recreate or '' }}",
        description=".",
    )
    upload_file = OptixUploadOperator(
        task_id="upload_file",
        data_connection_uuid=create_connection.output,
        primary_key="user_id",
        source=str(Path(__file__).parent / "data" / "walkthrough.csv"),
    )
    upload_record = OptixUploadOperator(
        task_id="upload_record",
        data_connection_uuid=create_connection.output,
        primary_key="user_id",
        source=[{"user_id": 1, "value": "xyz"}],
    )
    update_record = OptixUpdateOperator(
        task_id="update_record",
        data_connection_uuid=create_connection.output,
        primary_key="user_id",
        source=[{"user_id": 4, "value": "jkl"}],
        ttl_seconds=86_400,
    )
    upload_file >> upload_record >> update_record
