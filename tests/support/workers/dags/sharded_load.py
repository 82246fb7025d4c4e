"""A load in shards; a run's conf names the target, the file, the number of shards, and more where it is another."""

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
        "primary_key": "{{ dag_run.conf.get('key', 'id') }}",
        "sending": {"max_in_flight": "{{ dag_run.conf.get('in_flight', 4) }}"},
    }
    sync_in_shards("customers", workers=4, **rows)
