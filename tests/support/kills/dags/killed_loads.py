"""One DAG for each way of loading whose processes are killed; a run's conf names the target and the source's table.

Airflow tries a task again after a second, as often as it takes.
"""

from datetime import timedelta

from airflow.sdk import DAG

from optimove_provider.operators.dcp import DcpS3ImportOperator
from optimove_provider.operators.optix import OptixUploadOperator

TARGET = "{{ dag_run.conf['target'] }}"
ROWS = """SELECT id AS "{{ dag_run.conf['key'] }}", visits, note FROM {{ dag_run.conf['table'] }}"""
SQL = {"sql_conn_id": "warehouse_default", "sql": ROWS}
OPTIX = {"data_connection_uuid": TARGET, "primary_key": "id", **SQL}
DCP = {"table_id": TARGET, "wait": True, "poke_interval": 1, **SQL}


def dag(dag_id: str) -> DAG:
    """The DAG of one way; its runs may be under way at once, as each has a target of its own."""
    again = {"retries": 40, "retry_delay": timedelta(seconds=1), "execution_timeout": timedelta(minutes=10)}
    return DAG(dag_id, schedule=None, max_active_runs=8, default_args=again)


with dag("optix_changed"):
    OptixUploadOperator(task_id="load", mode="changed", **OPTIX)

with dag("optix_full"):
    OptixUploadOperator(task_id="load", mode="full", **OPTIX)

with dag("dcp_changed"):
    DcpS3ImportOperator(task_id="load", mode="changed", deferrable=True, **DCP)

with dag("dcp_full"):
    DcpS3ImportOperator(task_id="load", mode="full", deferrable=True, **DCP)
