"""A load in shards on Airflow's Celery executor: two workers, a real broker, PostgreSQL; one worker dies meanwhile."""

import time
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimove_provider.demo import airflow_home
from optimove_provider.emulator.model.optix import Connection
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.server import EmulatorServer
from tests.support.workers.celery import kill_worker, running_celery, start_worker

pytest.importorskip("airflow.providers.celery")

ROWS, SHARDS = 200_000, 8
_STATE = "SELECT state FROM dag_run WHERE dag_id = 'sharded_load' AND run_id = %s"
_ACCOUNT = "SELECT value FROM xcom WHERE run_id = %s AND task_id = 'customers.commit' AND key = 'return_value'"
_TASKS = "SELECT task_id, map_index, state, try_number, hostname FROM task_instance WHERE run_id = %s"


@pytest.mark.any_version
def test_a_load_in_eight_shards_outlives_a_worker(tmp_path):
    source = tmp_path / "customers.parquet"
    numbers = pa.array(range(ROWS), pa.int64())
    pq.write_table(pa.table({"id": numbers.cast(pa.string()), "n": numbers}), source, row_group_size=20_000)
    with EmulatorServer() as emulator:
        target = str(uuid.uuid4())
        emulator.state.connections[target] = Connection(target, "customers", "id")
        emulator.state.switches = Switches(latency_seconds=1)
        connections = airflow_home.connections(emulator.url, emulator.s3_url, tmp_path)
        with running_celery(tmp_path, connections, workers=2) as cluster:
            conf = {"target": target, "source": str(source), "shards": SHARDS}
            run_id = cluster.api("POST", "/api/v2/dags/sharded_load/dagRuns", {"logical_date": None, "conf": conf})[
                "dag_run_id"
            ]
            uploads = lambda: [one for one in emulator.state.requests if one["endpoint"] == "upload_data"]  # noqa: E731
            cluster.wait_for("request", lambda: len(uploads()) >= 5)
            assert emulator.state.connections[target].visible(time.time()) == {}
            kill_worker(cluster, "worker-1")
            start_worker(cluster, "worker-1")
            cluster.wait_for("end", lambda: cluster.rows(_STATE, run_id) in ([("success",)], [("failed",)]))
            tasks = {(task, index): (state, tries) for task, index, state, tries, _ in cluster.rows(_TASKS, run_id)}
            assert cluster.rows(_STATE, run_id) == [("success",)], tasks
            ((account,),) = cluster.rows(_ACCOUNT, run_id)
        assert (account["state"], account["accepted"], account["unsent"]) == ("committed", ROWS, 0)
        assert len([task for task, _ in tasks if task == "customers.send"]) == SHARDS
        assert max(tries for _, tries in tasks.values()) > 1, "the worker that died had something to do"
        visible = emulator.state.connections[target].visible(time.time())
        assert {key: record.data["n"] for key, record in visible.items()} == {str(n): n for n in range(ROWS)}
        assert len(emulator.state.connections[target].completed_batches) == 1
        assert len({one["batch_uuid"] for one in uploads()}) == 1
        assert emulator.state.violations == []
