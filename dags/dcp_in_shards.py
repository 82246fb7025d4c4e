"""
### Several files into Dynamic Customer Profiles by many workers

The upload of `dcp_csv_import`, for exports of many files: `plan` lists them, `upload` is mapped over the files, which
workers check and upload side by side, and `commit` judges all of them together and completes them: it is one load, with
one account, as with a single task.

It pays off where a file takes minutes. Workers share nothing but staging: set `[optimove] staging` to an object store,
or to a folder that all of them see.

**Trigger form:** `source` is a list of files, or globs, of one format and the same columns.

**If it fails:** nothing is visible before `commit` has begun to complete the files, and it does so once all of them are
checked. A red `upload` names every bad row of its file: mend the file, and clear `plan` with what comes after it
(Downstream). A red `commit` goes on from what was sent when it is cleared, unless it says otherwise.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
)
from optimove_provider.operators.dcp_sharded import import_in_shards

DATA = Path(__file__).parent / "data"
EXAMPLES = [str(DATA / "customers.csv"), str(DATA / "more_customers.csv")]

with DAG(
    "dcp_in_shards",
    schedule=None,
    max_active_runs=1,  # two runs at once might both create the table
    render_template_as_native_obj=True,  # the form's list stays a list
    doc_md=__doc__,
    tags=["optimove", "dcp", "example"],
    params={"source": Param(EXAMPLES, type="array", description="Paths, globs, or URLs such as s3://conn_id@bucket/*")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
):
    service = DcpCreateServiceOperator(task_id="service", name="Customer profiles in shards")
    table = DcpCreateTableOperator(
        task_id="table",
        service_id=service.output,
        name="Shop customers in shards",
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
    wanted: dict[str, Any] = {"source": "{{ params.source }}", "wait": True, "poke_interval": 30, "deferrable": True}
    import_in_shards("customers", workers=2, table_id=attributes.output, **wanted)
