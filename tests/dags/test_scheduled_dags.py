"""The example DAGs that run on a schedule: their windows, and what is sent. Their backfills are in tests/backfill.

The warehouse is the embedded one, with CDNOW's orders.
"""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from optimove_provider.demo import journey
from optimove_provider.emulator.model.switches import Switches
from tests.conftest import DAGS, HOME

UPLOADS = {
    "optix_nightly_snapshot": ("send_changes", "send_all"),
    "optix_incremental": ("upload",),
    "optix_by_partition": ("upload",),
    "optix_plan_and_approve": ("plan", "upload"),
    "optix_with_deletions": ("upload",),
}
WINDOWED = ("optix_incremental", "optix_by_partition")
WINDOW = {"since": "1997-01-18T00:00:00Z", "until": "1997-01-20T00:00:00Z"}
ALL_CUSTOMERS = 2357

# Customers who ordered on the 18th or the 19th, with what they ordered until then.
AS_OF_THE_WINDOWS_END = """
SELECT customer_id, count(*), round(sum(dollars), 2) FROM orders AS o
WHERE order_date <= '1997-01-19' AND EXISTS (
    SELECT 1 FROM orders WHERE customer_id = o.customer_id AND order_date IN ('1997-01-18', '1997-01-19')
) GROUP BY customer_id
"""


@pytest.fixture(scope="module")
def dags(airflow_db):
    return journey.load_dags(DAGS)


@pytest.fixture
def stored(emulator):
    """A function that gives the records of the only data connection."""

    def records() -> dict:
        (connection,) = emulator.state.connections.values()
        return {key: record.data for key, record in connection.visible(emulator.state.clock()).items()}

    return records


def in_warehouse(query) -> list:
    with closing(sqlite3.connect(HOME / "warehouse.db")) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(("dag_id", "task_ids"), UPLOADS.items())
def test_each_load_is_retried_bounded_and_in_the_pool_that_its_text_names(dags, dag_id, task_ids):
    dag = dags[dag_id]
    assert "airflow pools set optix" in dag.doc_md
    assert "back-fill" in dag.doc_md
    assert dag.params
    for task_id in task_ids:
        task = dag.get_task(task_id)
        assert task.pool == "optix"
        assert task.retries >= 1
        assert task.execution_timeout


@pytest.mark.any_version
@pytest.mark.parametrize("dag_id", WINDOWED)
def test_a_window_by_hand_brings_whole_profiles_as_of_its_end(dag_id, stored, airflow_db):
    outcome = journey.run_dag(dag_id, conf=WINDOW)
    assert outcome.state == "success"
    found = {key: (record["orders"], record["lifetime_value"]) for key, record in stored().items()}
    assert found == {customer: tuple(values) for customer, *values in in_warehouse(AS_OF_THE_WINDOWS_END)}
    assert outcome.results["upload"]["accepted"] == len(found)


@pytest.mark.any_version
@pytest.mark.parametrize("dag_id", WINDOWED)
def test_an_older_window_leaves_newer_records_alone(dag_id, stored, airflow_db):
    journey.run_dag(dag_id, conf=WINDOW)
    newer = stored()
    outcome = journey.run_dag(dag_id, conf={"since": "1997-01-01T00:00:00Z", "until": "1997-01-18T00:00:00Z"})
    assert outcome.results["upload"]["stale"] == len(newer.keys() & ordered_before("1997-01-18")) > 0
    assert {key: stored()[key] for key in newer} == newer


def ordered_before(day) -> set:
    query = f"SELECT DISTINCT customer_id FROM orders WHERE order_date < '{day}'"  # noqa: S608 - a day of this file
    return {customer for (customer,) in in_warehouse(query)}


@pytest.mark.any_version
def test_who_has_lapsed_goes_and_who_came_says_when_and_by_which_run(stored, emulator, airflow_db):
    first = {"since": "1997-01-01T00:00:00Z", "until": "1997-02-01T00:00:00Z"}
    assert journey.run_dag("optix_with_deletions", conf=first).state == "success"
    before = stored()
    assert not [record for record in before.values() if "is_deleted" in record]
    (run_id,) = {record["run_id"] for record in before.values()}
    assert all(record["synced_at"].startswith("20") for record in before.values())
    a_year_on = {"since": "1998-01-18T00:00:00Z", "until": "1998-01-20T00:00:00Z"}
    later = journey.run_dag("optix_with_deletions", conf=a_year_on)
    assert later.state == "success"
    lapsed = {
        customer
        for customer, last in in_warehouse(
            "SELECT customer_id, max(order_date) FROM orders WHERE order_date < '1998-01-20' GROUP BY customer_id"
        )
        if last in ("1997-01-18", "1997-01-19")
    }
    account = later.results["upload"]
    assert account["deleted"] == len(lapsed) > 0
    assert account["rows"] == account["accepted"] + account["deleted"]
    (connection,) = emulator.state.connections.values()
    left = {key: record.data for key, record in connection.visible(emulator.state.clock() + 2).items()}
    kept = before.keys() & left.keys()
    assert before.keys() - left.keys() == lapsed
    assert {left[key]["run_id"] for key in kept if left[key] == before[key]} == {run_id}
    assert len({record["run_id"] for record in left.values()}) == 2


def test_a_run_with_a_date_takes_the_data_interval_that_ends_there(stored, airflow_db):
    outcome = journey.run_dag("optix_incremental", logical_date=datetime(1997, 1, 20, tzinfo=UTC))
    assert outcome.state == "success"
    assert {record["last_order"] for record in stored().values()} == {"1997-01-19"}


@pytest.mark.any_version
def test_a_customer_who_was_refused_goes_again_with_the_next_day(stored, emulator, airflow_db):
    ((refused,),) = in_warehouse(
        "SELECT customer_id FROM orders GROUP BY customer_id HAVING min(order_date) = max(order_date) "
        "AND max(order_date) = '1997-01-18' ORDER BY customer_id LIMIT 1"
    )
    emulator.state.switches = Switches(poison=refused)
    first = journey.run_dag("optix_incremental", logical_date=datetime(1997, 1, 19, tzinfo=UTC))
    assert (first.tasks["upload"], refused in stored(), len(stored()) > 1) == ("failed", False, True)
    emulator.state.switches = Switches()
    second = journey.run_dag("optix_incremental", logical_date=datetime(1997, 1, 20, tzinfo=UTC))
    owed = second.results["upload"]["owed"]
    assert (second.state, owed["sent"], owed["accepted"], owed["left"]) == ("success", 1, 1, 0)
    assert stored()[refused]["last_order"] == "1997-01-18"


@pytest.mark.any_version
def test_the_query_of_the_examples_takes_whole_days_of_berlin_too(stored, airflow_db):
    import pendulum
    from airflow.sdk import DAG

    from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator

    created = OptixCreateConnectionOperator(task_id="create", name="berlin", primary_key="customerId").execute({})
    start = datetime(1997, 1, 1, tzinfo=pendulum.timezone("Europe/Berlin"))
    with DAG("days_of_berlin", schedule="0 1 * * *", start_date=start, template_searchpath=[str(DAGS)]) as dag:
        OptixUploadOperator(
            task_id="upload",
            data_connection_uuid=created,
            primary_key="customerId",
            sql="sql/customers_touched.sql",
            sql_conn_id="warehouse_default",
        )
    journey.register(dag)
    outcome = journey.run(dag, logical_date=datetime(1997, 1, 20, tzinfo=UTC))  # one o'clock in Berlin
    assert outcome.state == "success"
    assert {record["last_order"] for record in stored().values()} == {"1997-01-19"}
    with open(outcome.results["upload"]["report"].removeprefix("file://")) as report:
        assert json.load(report)["replay"]["generation"] == "1997-01-19T23:00:00+00:00"


def test_a_run_without_any_date_takes_the_day_before(stored, airflow_db):
    for dag_id in WINDOWED:
        assert journey.run_dag(dag_id).results["upload"]["state"] == "nothing_to_send"


def test_the_snapshot_sends_what_changed_or_everything_if_asked_to(stored, airflow_db):
    first = journey.run_dag("optix_nightly_snapshot").results["send_changes"]
    again = journey.run_dag("optix_nightly_snapshot").results["send_changes"]
    everything = journey.run_dag("optix_nightly_snapshot", conf={"send_all": True}).results["send_all"]
    assert (first["accepted"], again["accepted"], everything["accepted"]) == (ALL_CUSTOMERS, 0, ALL_CUSTOMERS)
    assert again["unchanged"] == ALL_CUSTOMERS == len(stored())


def test_a_plan_that_nobody_has_to_see_is_carried_out(stored, airflow_db):
    outcome = journey.run_dag("optix_plan_and_approve", conf={"ask_above_share": 1})
    assert outcome.state == "success"
    assert outcome.tasks["approve"] == "skipped"
    assert outcome.results["plan"]["new"] == ALL_CUSTOMERS == len(stored())


def test_the_consumer_of_partitions_runs(airflow_db):
    assert journey.run_dag("after_optix_partition").state == "success"


def test_a_watched_load_tells_nothing_while_it_is_well_and_what_waits_for_it_can_run(dags, stored, airflow_db, caplog):
    dag = dags["optix_watched"]
    assert dag.deadline
    outcome = journey.run_dag("optix_watched")
    assert (outcome.state, outcome.results["watched"]["accepted"]) == ("success", ALL_CUSTOMERS)
    assert "well again" not in caplog.text
    assert journey.run_dag("after_optix_loads").results["what_arrived"] == []


def test_mapped_tasks_know_the_window_in_what_they_share_and_in_what_they_are_mapped_over(emulator, airflow_db):
    from airflow.sdk import DAG

    from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator

    created = [
        OptixCreateConnectionOperator(task_id="create", name=name, primary_key="id").execute({}) for name in "ab"
    ]
    with DAG("mapped_windows", params={"since": None, "until": None}) as dag:
        upload = OptixUploadOperator.partial(
            task_id="upload",
            primary_key="id",
            sql="SELECT ? AS id, '{{ window.start }}' AS start, ? AS stop",
            sql_conn_id="warehouse_default",
        )
        upload.expand_kwargs(
            [
                {"data_connection_uuid": created[0], "parameters": ["1", "{{ window.end }}"]},
                {"data_connection_uuid": created[1], "parameters": ["2", "no template"]},
            ]
        )
    journey.register(dag)
    outcome = journey.run(dag, conf=WINDOW)
    assert outcome.state == "success"
    start, end = "1997-01-18 00:00:00+00:00", "1997-01-20 00:00:00+00:00"
    expected = [{"id": "1", "start": start, "stop": end}, {"id": "2", "start": start, "stop": "no template"}]
    for number, record in enumerate(expected):
        (found,) = emulator.state.connections[created[number]].visible(emulator.state.clock()).values()
        assert found.data == record
        with open(outcome.results[f"upload[{number}]"]["report"].removeprefix("file://")) as report:
            assert json.load(report)["replay"]["generation"] == "1997-01-20T00:00:00+00:00"
