"""An import of several files in shards as Airflow's tasks: a plan, mapped uploads, a commit, and a teardown."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.demo import journey
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from optimove_provider.operators.dcp_sharded import (
    DcpCommitFilesOperator,
    DcpGiveUpFilesOperator,
    DcpPlanFilesOperator,
    DcpUploadFilesOperator,
    import_in_shards,
)
from tests.support.running import context, run

pytestmark = pytest.mark.any_version

ATTRIBUTES = [{"name": "age", "datatype": "long"}]


@pytest.fixture
def table(emulator) -> int:
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    table = run(
        DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    )
    return run(DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes=ATTRIBUTES))


@pytest.fixture
def source(tmp_path):
    for number in range(3):
        ids = [f"{number}{row:03}" for row in range(10)]
        pq.write_table(pa.table({"customerId": ids, "age": list(range(10))}), tmp_path / f"part-{number}.parquet")
    return str(tmp_path / "part-*.parquet")


def put(emulator, table):
    path = emulator.state.tables[table].s3_path
    return [found.key for found in emulator.state.objects.list() if found.key.startswith(path)]


def planned(table, source, **settings):
    """What the plan returned, and what it told of its load."""
    plan = DcpPlanFilesOperator(task_id="plan", table_id=table, source=source, **settings)
    told = context(plan)
    return plan.execute(told), told["ti"].pushed["load"]


def uploaded(table, source, shard):
    return run(DcpUploadFilesOperator(task_id="upload", table_id=table, source=source, shard=shard))


def committed(table, source, load, **settings):
    return run(DcpCommitFilesOperator(task_id="commit", table_id=table, source=source, planned=load, **settings))


def given_up(table, source, load):
    return run(DcpGiveUpFilesOperator(task_id="give_up", table_id=table, source=source, planned=load))


def group(name, table, source, **settings):
    with DAG(name, schedule=None, default_args={"retries": 0}) as dag:
        rows = import_in_shards("customers", table_id=table, source=source, **settings)
        after = EmptyOperator(task_id="after")
        rows >> after
    return dag


def test_a_group_does_on_airflow_what_one_task_does(emulator, airflow_db, table, source):
    dag = group("imported_in_shards", table, source, workers=2)
    journey.register(dag)
    done = journey.run(dag)
    assert done.state == "success"
    assert {name: state for name, state in done.tasks.items() if state != "success"} == {}
    assert sorted(done.tasks) == [
        "after", "customers.commit", "customers.give_up", "customers.plan",
        "customers.upload[0]", "customers.upload[1]", "customers.upload[2]",
    ]  # fmt: skip
    account = done.results["customers.commit"]
    assert (account["state"], account["rows"], account["accepted"]) == ("uploaded", 30, 30)
    assert sorted(account["s3_keys"]) == sorted(put(emulator, table))
    assert len(account["s3_keys"]) == 3
    assert [done.results[f"customers.upload[{number}]"]["rows"] for number in range(3)] == [10, 10, 10]
    assert dag.get_task("customers.commit").trigger_rule == "none_failed"
    assert dag.get_task("customers.give_up").is_teardown
    upload = dag.get_task("customers.upload")
    assert upload.partial_kwargs["max_active_tis_per_dagrun"] == 2


def test_a_bad_file_fails_the_run_nothing_is_visible_and_the_lease_is_given_back(
    emulator, airflow_db, table, source, tmp_path
):
    pq.write_table(pa.table({"customerId": ["x"], "age": ["old"]}), tmp_path / "part-1.parquet")
    dag = group("imported_in_failing_shards", table, source)
    journey.register(dag)
    done = journey.run(dag)
    assert done.state == "failed"
    assert [done.tasks[f"customers.upload[{number}]"] for number in range(3)] == ["success", "failed", "success"]
    assert done.tasks["customers.commit"] == done.tasks["after"] == "upstream_failed"
    assert (done.tasks["customers.give_up"], done.results["customers.give_up"]) == ("success", True)
    assert put(emulator, table) == []
    good = str(tmp_path / "part-0.parquet")
    one = DcpS3ImportOperator(task_id="one", table_id=table, source=good)
    assert run(one)["accepted"] == 10  # which nobody has to wait for


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mode": "changed", "wait": True}, 'mode="changed": an import in shards compares nothing'),
        ({"limit": 5}, "limit=5: which rows are the first"),
        ({"dry_run": True}, "dry_run: an import in shards has none"),
        ({"verify": "all", "wait": True}, "verify='all': an import in shards reads back a sample only"),
    ],
)
def test_what_one_pass_is_needed_for_is_refused_when_the_dag_is_parsed(settings, says):
    with pytest.raises(SettingsError, match=f"{says}.*use one DcpS3ImportOperator instead"):
        group("refused", 1, "x/*.csv", **settings)


def test_a_query_is_refused_when_the_dag_is_parsed():
    with pytest.raises(SettingsError, match="sql=: a query is no list of files"):
        DcpPlanFilesOperator(task_id="plan", table_id=1, sql="SELECT 1", sql_conn_id="warehouse")


def test_a_list_of_rows_is_no_list_of_files(table):
    with pytest.raises(AirflowFailException, match="source= is no file, glob or list of files"):
        planned(table, [{"customerId": "1"}])


def test_a_plan_that_is_cleared_alone_refuses(emulator, table, source):
    plan = group("imports_cleared_alone", table, source).get_task("customers.plan")
    told = context(plan)
    asked = SimpleNamespace(**vars(told["ti"]))
    asked.get_task_states = lambda dag_id, task_ids, run_ids: (
        {run_ids[0]: {task_ids[0]: "success"}} if task_ids == ["customers.commit"] else {}
    )
    told["ti"] = asked
    with pytest.raises(AirflowFailException, match=r"was cleared, and customers.commit was not.*\(Downstream\)"):
        plan.execute(told)


def test_where_the_plan_was_skipped_so_is_the_commit(table, source):
    with pytest.raises(AirflowSkipException):
        committed(table, source, None)
    assert given_up(table, source, None) is False


def test_where_nothing_was_planned_the_end_of_a_group_is_no_failure_of_its_own(emulator, airflow_db, table, source):
    """What comes before the group has failed."""

    def failing():
        raise AirflowFailException("said so")

    dag = group("imports_not_planned", table, source)
    with dag:
        PythonOperator(task_id="before", python_callable=failing) >> dag.get_task("customers.plan")
    journey.register(dag)
    done = journey.run(dag)
    assert (done.state, done.tasks["customers.plan"]) == ("failed", "upstream_failed")
    assert (done.tasks["customers.give_up"], done.results["customers.give_up"]) == ("success", False)


def test_another_load_waits_deferred_while_files_are_uploaded(emulator, table, source):
    shards, load = planned(table, source)
    with pytest.raises(TaskDeferred):
        run(DcpS3ImportOperator(task_id="one", table_id=table, source=source))
    for shard in shards:
        uploaded(table, source, shard)
    assert committed(table, source, load)["accepted"] == 30
    assert given_up(table, source, load) is False


def test_a_commit_can_wait_for_the_import(emulator, table, source):
    shards, load = planned(table, source)
    for shard in shards:
        uploaded(table, source, shard)
    result = committed(table, source, load, wait=True, poke_interval=0.2, deferrable=False)
    assert (result["state"], result["accepted"]) == ("committed", 30)
    assert uploaded(table, source, shards[0])["state"] == "sent before"


def test_only_the_task_that_commits_is_an_event_of_the_load(table, source):
    dag = group("imports_told", table, source)
    assert dag.get_task("customers.give_up").outlets == []
    assert len(dag.get_task("customers.commit").outlets) == 1


def test_no_secret_is_in_what_tasks_hand_on(emulator, table, source):
    shards, load = planned(table, source)
    assert set(load) == {"load_id"}
    assert all(set(one) == {"load_id", "plan", "number", "of"} for one in shards)


def test_what_is_no_shard_is_refused_by_name(table, source):
    with pytest.raises(AirflowFailException, match=r"shard=.* is none: pass what DcpPlanFilesOperator returns"):
        uploaded(table, source, {"rows": 1})


def test_a_local_folder_that_workers_do_not_share_is_refused(emulator, table, source, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.delenv("AIRFLOW__OPTIMOVE__STAGING_IS_SHARED", raising=False)
    with pytest.raises(AirflowException, match="a folder of one machine, but CeleryExecutor runs tasks on others"):
        planned(table, source)
