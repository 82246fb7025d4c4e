"""
### All customers into Opti-X, after a person has seen what would change

`plan` compares the query's rows with what Opti-X took before and sends nothing. If more than `ask_above_share` of the
customers would be new, changed or gone, or it is unknown what Opti-X has of them, as after a load that died, `approve`
waits until somebody has looked at the numbers and samples: Browse > Required Actions. Then `upload` carries out that
plan and no other: if the source or the target has changed since, it fails.

**Trigger form:** the share above which a person is asked; with 0, any change is shown, with 1, nobody is asked.
With `recreate`, the uuid of a data connection that is gone, another one is made in its place, once.

**Not to be back-filled:** the query reads the warehouse as it is now, whatever the date of the run.

**Needs** the pool `optix`: `airflow pools set optix 2 "loads to Opti-X at a time"`. Running loads share the
limit `requests_per_10s` of the connection: give it the account's.

**If it fails:** `upload` says whether the plan no longer holds; then clear `plan` *with its downstream tasks*, and have
the new numbers approved. The log says whether anything of a failed upload is visible in Opti-X.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, task

from optimove_provider.operators.approval import plan_text, share_of_change
from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator

# How much may change, a person judges here.
guards = {name: param for name, param in guard_params("snapshot").items() if name != "max_changed_share"}
LOAD = {"pool": "optix", "execution_timeout": timedelta(hours=2)}

with DAG(
    "optix_plan_and_approve",
    schedule="0 5 * * 1",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["optimove", "opti-x", "example"],
    user_defined_macros={"plan_text": plan_text},
    params={
        "recreate": Param(None, type=["null", "string"], description="Uuid of one that is gone, to be made anew"),
        "ask_above_share": Param(0.1, type="number", minimum=0, maximum=1, description="Share of the customers"),
        **guards,
    },
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    connection = OptixCreateConnectionOperator(
        task_id="connection",
        name="CDNOW customers, approved",
        primary_key="customerId",
        recreate="{{ params.recreate or '' }}",
        **LOAD,
    )
    rows = {
        "data_connection_uuid": connection.output,
        "primary_key": "customerId",
        "sql": "sql/customer_profiles.sql",
        "sql_conn_id": "warehouse_default",
        "mode": "changed",
        "source_is": "snapshot",
        "guards": {**guards_of_run("snapshot"), "max_changed_share": None},
    }
    plan = OptixUploadOperator(task_id="plan", dry_run=True, **rows, **LOAD)

    @task.branch
    def is_it_much(plan: dict[str, Any], params: dict[str, float] | None = None) -> str:
        """The next task: a person is asked if a larger share of the customers may change."""
        return "approve" if params and share_of_change(plan) > params["ask_above_share"] else "upload"

    approve = ApprovalOperator(
        task_id="approve",
        subject="Upload {{ ti.xcom_pull('plan')['rows'] }} customers to Opti-X?",
        body="{{ plan_text(ti.xcom_pull('plan')) }}",
        response_timeout=timedelta(days=3),
    )
    upload = OptixUploadOperator(
        task_id="upload",
        expected_plan="{{ ti.xcom_pull('plan')['plan'] }}",
        trigger_rule="none_failed_min_one_success",  # approve may have been skipped
        **rows,
        **LOAD,
    )
    is_it_much(plan.output) >> [approve, upload]
    approve >> upload
