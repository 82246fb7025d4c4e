"""A load in shards; a run's conf names the target, the file and the number of shards."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from optimove_provider.operators.sharded import sync_in_shards

with DAG(
    "sharded_load",
    schedule=None,
    default_args={"retries": 5, "retry_delay": timedelta(seconds=1), "execution_timeout": timedelta(minutes=10)},
):
    rows: dict[str, Any] = {
        "data_connection_uuid": "{{ dag_run.conf['target'] }}",
        "source": "{{ dag_run.conf['source'] }}",
        "shards": "{{ dag_run.conf['shards'] }}",
    }
    sync_in_shards("customers", workers=4, primary_key="id", **rows)
