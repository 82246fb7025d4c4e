"""A person asks to be removed: on real Airflow, from the first load to the one that does not bring them back."""

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.history.loads import report_of
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.operators.optix_expire import OptixExpireOperator
from optimove_provider.tasks.staging import staging
from tests.support.running import run
from tests.support.telling import runs

TO = {"data_connection_uuid": "34f8cfca-85fa-444f-97b2-a5b8cbff6907", "primary_key": "id"}
GONE = "Ada-Lovelace-1815"
ROWS = [{"id": GONE, "n": 1}, {"id": "other", "n": 1}]


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


def test_a_removed_customer_is_gone_and_is_not_brought_back(emulator, airflow_db, connection):
    to = {"data_connection_uuid": connection, "primary_key": "id"}
    query = {"sql": f"SELECT '{GONE}' AS id, 'asked' AS why", "sql_conn_id": "warehouse_default"}
    with DAG("a_person_asks") as dag:
        first = OptixUploadOperator(task_id="first", source=ROWS, mode="changed", **to)
        removes = OptixExpireOperator(task_id="removes", suppress=True, **query, **to)
        again = OptixUploadOperator(task_id="again", source=ROWS, mode="full", **to)
        first >> removes >> again
    told = runs.run(dag)
    assert told.states == dict.fromkeys(("first", "removes", "again"), "success")
    accounts = {task: one["account"] for task, one in told.xcoms.items()}
    assert (accounts["removes"]["accepted"], accounts["removes"]["rows"]) == (1, 1)
    assert (accounts["again"]["accepted"], accounts["again"]["suppressed"]) == (1, 1)
    assert {extra["state"] for _, _, extra in told.events} == {"committed"}
    assert GONE not in json.dumps(accounts) + json.dumps([extra for _, _, extra in told.events])
    later = emulator.state.connections[connection].visible(emulator.state.clock() + 2)
    assert list(later) == ["other"]
    proof = report_of(staging(), accounts["removes"]["load_id"])["proof"]
    with open(proof.removeprefix("file://")) as lines:
        (line,) = map(json.loads, lines)
    assert (line["key"], line["outcome"], line["batch_uuid"]) == (GONE, "expired", accounts["removes"]["batch_uuid"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "name the keys in one way"),
        ({"keys": ["a"], "sql": "SELECT 1"}, "name the keys in one way"),
        ({"keys": [1.5]}, r"keys=\[1.5\]: expected keys, texts or whole numbers"),
        ({"keys": [""]}, "expected keys"),
        ({"keys": [True]}, "expected keys"),
        ({"keys": ["a"], "suppress": "yes"}, "suppress='yes': expected True or False"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_dag_is_parsed(wrong, message):
    with pytest.raises(SettingsError, match=message):
        OptixExpireOperator(task_id="removes", **TO, **wrong)


def test_keys_that_are_named_twice_are_one():
    assert OptixExpireOperator(task_id="removes", keys=["1", 1, "2"], **TO).keys == [1, "2"]


@pytest.mark.parametrize("rendered", ["['a', 'b']", "[1.5]", ""])
def test_a_rendered_text_that_is_no_list_of_json_is_not_taken_for_a_key(emulator, rendered):
    operator = OptixExpireOperator(task_id="removes", keys="{{ params.keys }}", **TO)
    operator.keys = rendered
    with pytest.raises(AirflowFailException, match="keys"):
        run(operator)
