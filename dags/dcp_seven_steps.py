"""
### The seven steps of a profile integration

The steps of [the vendor's guide](https://docs.developers.optimizely.com/web-experimentation/docs/customer-profiles),
"Profile Integrations", one task group after the other:

1. *Get access*: ask Optimizely to enable DCP for the account. Nothing to run.
2. *Register your application*: put a classic token into the connection `dcp_default`; **Test** in its form tries it.
3. *Create a DCP service*, and associate it with your project (`project_id` in the trigger form).
4. *Create a table*: where on a page the customer id is found, here in a cookie.
5. *Register attributes*: before any value is uploaded.
6. *Upload data*: a file by bulk upload, and one profile over REST.
7. *Test integration*: the profiles are read back. What only a person can see is left: the table under Audiences >
   Attributes, its attributes in the audience builder, and an experiment that targets them.

Every task may run again: what exists and agrees is kept.

**If it fails:** `link_project` says which service the project is linked to; `upload` names every bad row, column and
value, and nothing has been uploaded then; if `wait_for_import` is red, clear `upload`, not the sensor, which would only
find the same file again; `read_back` logs which profiles are not there yet, or hold other values.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param

from optimove_provider.operators.dcp import (
    DcpArchiveAttributesOperator,
    DcpCreateAliasesOperator,
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpLinkProjectOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
)
from optimove_provider.sensors.dcp import DcpProfileSensor, DcpUploadSensor

EXAMPLE = str(Path(__file__).parent / "data" / "customers.csv")

with DAG(
    "dcp_seven_steps",
    schedule=None,
    max_active_runs=1,  # two runs at once might both create the table
    doc_md=__doc__,
    tags=["optimove", "dcp", "example"],
    params={"project_id": Param(1234, type="integer", description="The project that shall see the profiles")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
):
    # 3. Create a DCP service
    service = DcpCreateServiceOperator(task_id="service", name="Customer profiles")
    link_project = DcpLinkProjectOperator(
        task_id="link_project", project_id="{{ params.project_id }}", service_id=service.output
    )

    # 4. Create a table
    table = DcpCreateTableOperator(
        task_id="table",
        service_id=service.output,
        name="Shop customers",
        keyfield_locator_type="cookie",
        keyfield_locator_name="logged_in_id",
        description="Customers of the shop, by the id that they log in with",
        update=True,
    )

    # 5. Register attributes. LTV was a double once. No call gives an attribute another datatype: that one is archived,
    # and a replacement registered.
    archived = DcpArchiveAttributesOperator(task_id="archived", table_id=table.output, names={"LTV": "double"})
    attributes = DcpRegisterAttributesOperator(
        task_id="attributes", table_id=table.output, attributes={"most_viewed_category": "string", "LTV": "long"}
    )

    # 6. Upload data
    upload = DcpS3ImportOperator(task_id="upload", table_id=attributes.output, source=EXAMPLE)
    wait_for_import = DcpUploadSensor(
        task_id="wait_for_import",
        table_id=table.output,
        s3_key=upload.output,
        poke_interval=30,
        timeout=timedelta(hours=2),
        deferrable=True,
    )
    write_one = DcpWriteProfilesOperator(
        task_id="write_one",
        table_id=attributes.output,
        profiles=[{"customerId": "45678", "most_viewed_category": "hats", "LTV": 250}],
    )
    # Usually the snippet creates aliases by itself, when a visitor has the cookie.
    alias = DcpCreateAliasesOperator(
        task_id="alias",
        service_id=service.output,
        aliases=[
            {
                "optimizely_user_id": "oeu1234.5678",
                "aliases": [{"table_id": table.output, "customer_id": "45678"}],
            }
        ],
    )

    # 7. Test integration
    read_back = DcpProfileSensor(
        task_id="read_back",
        table_id=table.output,
        profiles={
            "12345": {"most_viewed_category": "shirts", "LTV": 100},
            "45678": {"most_viewed_category": "hats", "LTV": 250},
        },
        poke_interval=30,
        timeout=timedelta(hours=1),
        mode="reschedule",
    )

    archived >> attributes
    [link_project, wait_for_import, write_one, alias] >> read_back
