"""The example DAGs, run by real Airflow from end to end."""

import json
import warnings
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.demo import comparison, journey, warehouse
from optimove_provider.demo.loopback import get_json
from tests.conftest import DAGS, HOME
from tests.support.operators import OPERATORS

DAG_IDS = (
    "after_optix_loads",
    "after_optix_partition",
    "dcp_ask_for_removal",
    "dcp_csv_import",
    "dcp_in_shards",
    "dcp_seven_steps",
    "demo_order",
    "optix_by_partition",
    "optix_in_shards",
    "optix_incremental",
    "optix_nightly_snapshot",
    "optix_plan_and_approve",
    "optix_remove_customers",
    "optix_walkthrough",
    "optix_watched",
    "optix_with_deletions",
    "warehouse_to_profiles",
)
FOR_CLICKS = ("optix_incremental__replay", "optix_nightly_snapshot__replay")
DAY = {"since": "1997-03-04T00:00:00Z", "until": "1997-03-05T00:00:00Z"}
CONF = {"optix_plan_and_approve": {"ask_above_share": 1}}  # nobody is there to approve anything
RUN_BELOW = (
    "dcp_csv_import",
    "dcp_in_shards",
    "dcp_seven_steps",
    "demo_order",
    "optix_incremental",
    "optix_nightly_snapshot",
    "optix_remove_customers",
    "optix_walkthrough",
    "warehouse_to_profiles",
)


@pytest.fixture
def ran(emulator, airflow_db, capfd):
    """A function that runs a DAG. At the end, no secret is in any result, log or report."""
    results = []

    def run(dag_id, conf=None, logical_date=None):
        outcome = journey.run_dag(dag_id, conf, logical_date)
        results.append(outcome.results)
        return outcome

    yield run
    assert results
    shown = json.dumps(results) + "".join(capfd.readouterr())
    shown += "".join(path.read_text() for path in (HOME / "optimove").rglob("*.json"))
    secrets = ["emulator-api-key", "emulator-brand-key", "emulator-token"]
    secrets += [service.credentials.secret_key for service in emulator.state.services.values()]
    assert all(secrets)
    assert [shown[max(0, shown.index(secret) - 80) :][:160] for secret in secrets if secret in shown] == []


@pytest.fixture(scope="module")
def dags(airflow_db):
    # Airflow turns a DAG file's warnings into a list of its own, so they are made errors here.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return journey.load_dags(DAGS)


def test_every_file_imports_without_a_warning(dags):
    assert set(dags) == {*DAG_IDS, *FOR_CLICKS}


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_each_is_a_dag_that_a_user_would_copy(dags, dag_id):
    dag = dags[dag_id]
    assert "**If it fails:**" in dag.doc_md
    assert "optimove" in dag.tags
    assert dag.default_args["retries"] >= 1


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_its_form_can_be_sent_as_it_is(dags, dag_id):
    # Airflow's form takes an empty text for a missing one, unless the field may be null.
    for name in dags[dag_id].params:
        value = dags[dag_id].params.get_param(name)
        assert value.value != "", name
        assert value.value is not None or "null" in value.schema["type"], name


def test_every_operator_and_sensor_has_an_example(dags):
    used = {getattr(task, "operator_class", type(task)) for dag in dags.values() for task in dag.tasks}  # or mapped
    assert all(issubclass(operator, BaseOperator) for operator in used)
    assert set(OPERATORS) <= used


def test_the_walkthrough_uploads_a_file_and_a_record_and_overwrites_one_and_can_run_again(ran, emulator):
    for _ in range(2):
        outcome = ran("optix_walkthrough")
        assert outcome.state == "success"
    (connection,) = get_json(f"{emulator.url}/_emulator/state")["connections"]
    assert {key: record["data"]["value"] for key, record in connection["records"].items()} == {
        "1": "xyz",
        "2": "abc",
        "3": "def",
        "4": "jkl",
    }


def test_a_csv_file_is_validated_imported_and_waited_for(ran, emulator):
    outcome = ran("dcp_csv_import")
    assert outcome.state == "success"
    assert outcome.results["validate"]["valid_rows"] == 3
    assert outcome.results["wait_for_import"]["rows_processed"] == 3
    table = emulator.state.tables[outcome.results["table"]]
    assert table.profiles["12345"] == {"most_viewed_category": "shirts", "LTV": 100}


def test_several_files_are_uploaded_side_by_side_and_imported_as_one_load(ran, emulator):
    outcome = ran("dcp_in_shards")
    assert outcome.state == "success"
    account = outcome.results["customers.commit"]
    assert (account["state"], account["accepted"], len(account["s3_keys"])) == ("committed", 5, 2)
    table = emulator.state.tables[outcome.results["table"]]
    assert table.profiles["56789"] == {"most_viewed_category": "shirts", "LTV": 1200}


def test_a_bad_file_stops_before_the_upload(ran, emulator, tmp_path):
    file = tmp_path / "bad.csv"
    file.write_text("customerId,LTV\n1,1.5\n")
    before = set(emulator.state.objects.list())
    outcome = ran("dcp_csv_import", conf={"source": str(file)})
    assert outcome.tasks["validate"] == "failed"
    assert outcome.tasks["upload"] == "upstream_failed"
    assert set(emulator.state.objects.list()) == before


def test_the_seven_steps_end_with_profiles_that_are_read_back_and_can_run_again(ran, emulator):
    for _ in range(2):
        outcome = ran("dcp_seven_steps")
        assert outcome.state == "success"
    assert outcome.results["read_back"] == {"profiles": 2}
    assert emulator.state.projects[1234].dcp_service_id == outcome.results["service"]
    table = emulator.state.tables[outcome.results["table"]]
    assert table.profiles["45678"] == {"most_viewed_category": "hats", "LTV": 250}
    assert table.service.aliases == {"oeu1234.5678": {str(table.id): "45678"}}


def test_the_warehouse_arrives_in_both_stores_value_by_value(ran, emulator):
    for _ in range(2):
        outcome = ran("warehouse_to_profiles")
        assert outcome.state == "success"
        assert outcome.results["optix_upload"]["accepted"] == 2357
        assert outcome.results["dcp_wait"]["rows_processed"] == 2357
    state = get_json(f"{emulator.url}/_emulator/state")
    assert list(comparison.differences(HOME / "warehouse.db", state)) == []


@pytest.mark.any_version
def test_an_order_without_a_customer_is_rejected_mended_and_sent(ran, emulator):
    try:
        ran("demo_order")
        red = ran("optix_incremental", logical_date=datetime(1997, 3, 5, tzinfo=UTC))
        assert red.tasks["upload"] == "failed"
        (connection,) = emulator.state.connections.values()
        assert connection.records == {}
        ran("demo_order", conf={"customer_id": "00004"})
        mended = ran("optix_incremental", conf=DAY).results["upload"]
        assert (mended["rows"], mended["accepted"], mended["rejected"]) == (41, 41, 0)
        assert connection.visible(emulator.state.clock())["00004"].data["last_order"] == "1997-03-04"
    finally:
        warehouse.load_orders(HOME / "warehouse.db")


@pytest.mark.any_version
def test_who_asks_to_be_removed_is_gone_and_stays_away(ran, emulator):
    assert ran("optix_nightly_snapshot").state == "success"
    removed = ran("optix_remove_customers", conf={"keys": ["00004", "00018"]})
    assert (removed.state, removed.results["remove"]["accepted"]) == ("success", 2)
    again = ran("optix_nightly_snapshot")
    assert again.state == "success"
    (connection,) = emulator.state.connections.values()
    there = connection.visible(emulator.state.clock() + 2)
    assert len(there) == 2355
    assert not {"00004", "00018"} & there.keys()


@pytest.mark.any_version
@pytest.mark.parametrize("dag_id", [dag_id for dag_id in DAG_IDS if dag_id not in RUN_BELOW])
def test_the_others_run_as_they_are(ran, dag_id):
    assert ran(dag_id, CONF.get(dag_id)).state == "success"
