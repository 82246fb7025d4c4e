"""A load in shards as Airflow's tasks: a plan, mapped tasks that send, a commit, and a teardown."""

from dataclasses import replace
from datetime import timedelta
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

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.demo import journey
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.operators.optix import OptixCreateConnectionOperator
from optimove_provider.operators.sharded import (
    OptixCommitOperator,
    OptixGiveUpOperator,
    OptixPlanOperator,
    OptixSendShardOperator,
    sync_in_shards,
)
from optimove_provider.surroundings import REAL
from optimove_provider.tasks.staging import staging
from tests.support.running import context, run

ROWS = 27_000  # six slices


@pytest.fixture
def uuid(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "customers.parquet"
    numbers = pa.array(range(ROWS), pa.int64())
    pq.write_table(pa.table({"id": numbers.cast(pa.string()), "n": numbers}), path)
    return str(path)


def visible(emulator, uuid):
    return emulator.state.connections[uuid].visible(emulator.state.clock() + 2)


def planned(uuid, source, **settings):
    """The plan's operator, what it returned, and what it told of its load."""
    plan = OptixPlanOperator(task_id="plan", data_connection_uuid=uuid, primary_key="id", source=source, **settings)
    told = context(plan)
    return plan.execute(told), told["ti"].pushed["load"]


def sent(uuid, shard, **settings):
    send = OptixSendShardOperator(task_id="send", shard=shard, data_connection_uuid=uuid, primary_key="id")
    return run(send, **settings)


def committed(uuid, source, load, **settings):
    return run(
        OptixCommitOperator(
            task_id="commit", planned=load, data_connection_uuid=uuid, primary_key="id", source=source, **settings
        )
    )


def given_up(uuid, load):
    return run(OptixGiveUpOperator(task_id="give_up", planned=load, data_connection_uuid=uuid, primary_key="id"))


def group(name, uuid, source, **settings):
    with DAG(name, schedule=None, default_args={"retries": 0}) as dag:
        rows = sync_in_shards("customers", data_connection_uuid=uuid, primary_key="id", source=source, **settings)
        after = EmptyOperator(task_id="after")
        rows >> after
    dag.account = rows.account
    return dag


def test_a_group_does_on_airflow_what_one_task_does(emulator, airflow_db, uuid, source):
    dag = group("in_shards", uuid, source, shards=3, workers=2)
    journey.register(dag)
    done = journey.run(dag)
    assert done.state == "success"
    assert {name: state for name, state in done.tasks.items() if state != "success"} == {}
    assert sorted(done.tasks) == [
        "after", "customers.commit", "customers.give_up", "customers.plan",
        "customers.send[0]", "customers.send[1]", "customers.send[2]",
    ]  # fmt: skip
    assert done.results["customers.commit"]["accepted"] == ROWS
    assert [done.results[f"customers.send[{number}]"]["accepted"] for number in range(3)] == [5000, 10_000, 10_000]
    assert len(visible(emulator, uuid)) == ROWS
    assert dag.get_task("customers.commit").trigger_rule == "none_failed"
    assert dag.get_task("customers.give_up").is_teardown
    assert dag.get_task("customers.send").partial_kwargs["max_active_tis_per_dagrun"] == 2


def test_a_shard_that_fails_for_good_fails_the_run_and_the_lease_is_given_back(emulator, airflow_db, uuid, source):
    dag = group("in_failing_shards", uuid, source, shards=3, sending={"give_up_after": 0}, mode="changed")
    journey.register(dag)
    emulator.state.faults.order(Fault("upload_data", status=401, times=3))
    done = journey.run(dag)
    assert done.state == "failed"
    assert "failed" in {done.tasks[f"customers.send[{number}]"] for number in range(3)}
    assert done.tasks["customers.commit"] == done.tasks["after"] == "upstream_failed"
    assert (done.tasks["customers.give_up"], done.results["customers.give_up"]) == ("success", True)
    reports = [staging().read(f"reports/{name}") for name in staging().names("reports") if name.endswith(".json")]
    assert [one["mode"] for one in reports if one["state"] == "failed"] == ["changed"]
    _, load = planned(uuid, source)  # nobody has to wait
    assert committed(uuid, source, load)["accepted"] == ROWS


@pytest.mark.parametrize("shards", [0, 1025, 1.5, "three"])
def test_a_number_of_shards_that_airflow_cannot_map_is_refused_when_the_dag_is_parsed(uuid, shards):
    with pytest.raises(SettingsError, match=r"shards=.*expected a whole number from 1 to 1024"):
        OptixPlanOperator(task_id="plan", data_connection_uuid=uuid, primary_key="id", source="x.csv", shards=shards)


@pytest.mark.parametrize("workers", [0, "{{ params.workers }}"])
def test_how_many_are_sent_at_a_time_is_a_number(uuid, workers):
    with pytest.raises(SettingsError, match="workers="):
        group("of_no_workers", uuid, "x.csv", workers=workers)


def test_one_more_than_airflow_maps_fails_the_plan_where_a_template_says_so(emulator, uuid, source):
    plan = OptixPlanOperator(
        task_id="plan", data_connection_uuid=uuid, primary_key="id", source=source, shards="{{ params.shards }}"
    )
    told = {**context(plan), "params": {"shards": 1025}}
    plan.render_template_fields(told)
    with pytest.raises(AirflowFailException, match=r"shards='1025': expected a whole number from 1 to 1024"):
        plan.execute(told)
    assert [one for one in emulator.state.requests if one["endpoint"] == "upload_data"] == []


@pytest.mark.parametrize("state", ["success", "failed", "upstream_failed", "skipped", None])
def test_a_plan_that_is_cleared_alone_refuses(emulator, uuid, source, state):
    dag = group("cleared_alone", uuid, source, shards=2)
    plan = dag.get_task("customers.plan")
    told = context(plan)
    asked = SimpleNamespace(**vars(told["ti"]))
    asked.get_task_states = lambda dag_id, task_ids, run_ids: (
        {run_ids[0]: {task_ids[0]: state}} if task_ids == ["customers.commit"] else {}
    )
    told["ti"] = asked
    if state is None:
        assert len(plan.execute(told)) == 2
        return
    with pytest.raises(AirflowFailException, match=r"was cleared, and customers.commit was not.*\(Downstream\)"):
        plan.execute(told)
    assert [one for one in emulator.state.requests if one["endpoint"] == "upload_data"] == []


def test_a_dry_run_sends_nothing_and_its_commit_tells_the_plan(emulator, uuid, source):
    shards, load = planned(uuid, source, dry_run=True, shards=3)
    assert shards == []
    told = committed(uuid, source, load, dry_run=True)
    assert (told["state"], told["rows"], told["new"]) == ("planned", ROWS, ROWS)
    assert given_up(uuid, load) is False
    assert visible(emulator, uuid) == {}


def test_where_the_plan_was_skipped_so_is_the_commit(uuid, source):
    with pytest.raises(AirflowSkipException):
        committed(uuid, source, None)
    assert given_up(uuid, None) is False


def test_another_load_waits_deferred_while_shards_are_sent(emulator, uuid, source):
    shards, load = planned(uuid, source, shards=2)
    plan = OptixPlanOperator(task_id="plan", data_connection_uuid=uuid, primary_key="id", source=source)
    told = context(plan)
    with pytest.raises(TaskDeferred) as deferred:
        plan.execute(told)
    for shard in shards:
        sent(uuid, shard)
    assert committed(uuid, source, load)["accepted"] == ROWS
    found = plan.resume_execution(deferred.value.method_name, {"event": {}, **deferred.value.kwargs}, told)
    assert len(found) == 4
    assert committed(uuid, source, told["ti"].pushed["load"])["accepted"] == ROWS


def test_a_shard_that_is_cleared_after_another_load_says_what_to_clear(emulator, uuid, source):
    (first, second), load = planned(uuid, source, shards=2)
    sent(uuid, first)
    assert given_up(uuid, load) is True
    _, other = planned(uuid, source)
    assert committed(uuid, source, other)["accepted"] == ROWS
    with pytest.raises(AirflowFailException, match=r"another load has written to the target since"):
        sent(uuid, second)
    with pytest.raises(AirflowFailException, match=r"Clear the first task of the group"):
        committed(uuid, source, load)


def test_no_secret_is_in_what_tasks_hand_on(emulator, uuid, source, change_connection):
    change_connection("optix_default", password="emulator-api-key")
    shards, load = planned(uuid, source, shards=2)
    assert "emulator-api-key" not in repr((shards, load))
    assert "emulator-brand-key" not in repr((shards, load))
    assert all(set(one) == {"load_id", "batch", "rows_digest", "number", "of", "first", "end"} for one in shards)


def test_a_worker_whose_clock_is_wrong_neither_sends_nor_commits(emulator, uuid, source, monkeypatch):
    """gchq/stroom#5772: a lock's end was written by one machine's clock, and read by another's."""
    shards, load = planned(uuid, source, shards=2)
    asked = len(emulator.state.requests)
    behind = replace(REAL, now=lambda: REAL.now() - timedelta(hours=1))
    for kind in (OptixSendShardOperator, OptixCommitOperator):
        monkeypatch.setattr(kind, "surroundings", behind)
    with pytest.raises(AirflowFailException, match=r"the clock of this machine .* must agree within 30 s"):
        sent(uuid, shards[0])
    with pytest.raises(AirflowFailException, match=r"the clock of this machine .* must agree within 30 s"):
        committed(uuid, source, load)
    assert len(emulator.state.requests) == asked


def test_what_is_no_shard_is_refused_by_name(uuid):
    with pytest.raises(AirflowFailException, match=r"shard=.* is none: pass what OptixPlanOperator returns"):
        sent(uuid, {"rows": 1})


def test_a_local_folder_that_workers_do_not_share_is_refused_before_anything_is_read(uuid, source, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.delenv("AIRFLOW__OPTIMOVE__STAGING_IS_SHARED", raising=False)
    with pytest.raises(AirflowException, match="a folder of one machine, but CeleryExecutor runs tasks on others"):
        planned(uuid, source, shards=2)


def test_the_lease_is_given_back_after_every_shard_has_ended_not_after_the_first_that_fails(uuid, source):
    """`commit` is over, upstream failed, as soon as one shard is."""
    dag = group("ended", uuid, source)
    upstream = dag.get_task("customers.give_up").upstream_task_ids
    assert upstream == {"customers.plan", "customers.send", "customers.commit"}
    assert dag.get_task("after").upstream_task_ids == {"customers.commit"}


def test_what_comes_after_a_group_runs_where_no_shard_was_needed(emulator, airflow_db, uuid):
    dag = group("without_shards", uuid, [{"id": "1"}])
    journey.register(dag)
    done = journey.run(dag)
    assert (done.state, done.tasks["after"], done.tasks["customers.give_up"]) == ("success", "success", "success")
    assert "success" not in {state for name, state in done.tasks.items() if "send" in name}
    assert list(visible(emulator, uuid)) == ["1"]


def test_a_plan_whose_own_commit_was_cleared_may_run_though_another_group_has_ended(emulator, uuid, source):
    with DAG("two_groups", schedule=None):
        first, second = (
            sync_in_shards(name, data_connection_uuid=uuid, primary_key="id", source=source) for name in ("one", "two")
        )
        first >> second
    plan = first.children["one.plan"]
    told = context(plan)
    asked = SimpleNamespace(**vars(told["ti"]))
    asked.get_task_states = lambda dag_id, task_ids, run_ids: (
        {run_ids[0]: {task_ids[0]: "success" if task_ids == ["two.commit"] else None}}
    )
    told["ti"] = asked
    assert len(plan.execute(told)) == 4


def test_what_would_reach_two_of_the_tasks_only_is_refused_when_the_dag_is_parsed(uuid):
    with pytest.raises(SettingsError, match=r"got pool, retries, which .*by task=\{'pool': \.\.\.\}"):
        group("of_some_tasks", uuid, "x.csv", retries=3, pool="small")


def test_a_trigger_rule_of_the_dag_does_not_let_the_commit_be_skipped(uuid):
    with DAG("of_one_rule", schedule=None, default_args={"trigger_rule": "all_success"}) as dag:
        sync_in_shards("customers", data_connection_uuid=uuid, primary_key="id", source="x.csv")
    assert dag.get_task("customers.commit").trigger_rule == "none_failed"
    assert dag.get_task("customers.give_up").trigger_rule == "all_done_setup_success"
