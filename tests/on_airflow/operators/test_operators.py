"""Operators against the running emulator: what they return, and what they say of bad input."""

import inspect
import json
import os
import re

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.operators.csv import ValidateCsvOperator
from optimove_provider.operators.dcp import (
    DcpArchiveAttributesOperator,
    DcpCreateAliasesOperator,
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpLinkProjectOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
)
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.tasks.telling.operator import TellingOperator
from tests.support.operators import OPERATORS
from tests.support.running import run

ATTRIBUTES = [{"name": "age", "datatype": "long"}, {"name": "born", "datatype": "datetime", "format": "yyyy-mm-dd"}]


@pytest.fixture
def connection(emulator) -> str:
    create = OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id")
    return create.execute({})


@pytest.fixture
def table(emulator) -> int:
    service = DcpCreateServiceOperator(task_id="service", name="Shop").execute({})
    table = DcpCreateTableOperator(
        task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid"
    ).execute({})
    return DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes=ATTRIBUTES).execute({})


def upload(connection, **kwargs) -> dict:
    return run(OptixUploadOperator(task_id="upload", data_connection_uuid=connection, primary_key="id", **kwargs))


def records(emulator, connection) -> dict:
    visible = emulator.state.connections[connection].visible(emulator.state.clock())
    return {key: record.data for key, record in visible.items()}


def uploads(emulator) -> list:
    return [request for request in emulator.state.requests if request["endpoint"] == "upload_data"]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_parameter_attribute_and_template_field_bear_one_name(operator):
    made = [one for one in inspect.getmro(operator) if one in OPERATORS]  # of another operator, and more
    parameters = [p for one in made for p in inspect.signature(one.__init__).parameters.values()]
    source = "".join(inspect.getsource(one) for one in made)
    own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    of_all_loads = {"sync_log"} if issubclass(operator, TellingOperator) else set()
    assert set(operator.template_fields) - of_all_loads <= set(own)
    assert of_all_loads <= set(operator.template_fields)
    assert all(f"self.{name} = {name}\n" in source for name in own)
    assert not any(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters if p.name != "self")


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_parameter_is_documented(operator):
    own = [p.name for p in inspect.signature(operator.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY]
    undocumented = [name for name in own if f":param {name}:" not in operator.__doc__ and not name.endswith("conn_id")]
    assert not undocumented


def test_a_connection_is_created_once(emulator, connection):
    again = OptixCreateConnectionOperator(task_id="again", name="Customers", primary_key="id").execute({})
    assert again == connection
    assert len(emulator.state.connections) == 1


@pytest.mark.parametrize(
    "source",
    [
        pytest.param({"source": [{"id": 1, "age": 30}, {"id": 2}]}, id="list"),
        pytest.param(
            {"sql": "SELECT 1 AS id, 30 AS age UNION SELECT 2, NULL", "sql_conn_id": "warehouse_default"}, id="sql"
        ),
    ],
)
def test_an_upload_returns_its_account(emulator, connection, source):
    result = upload(connection, **source)
    assert {name: result[name] for name in ("state", "rows", "accepted", "unsent")} == {
        "state": "committed",
        "rows": 2,
        "accepted": 2,
        "unsent": 0,
    }
    assert json.loads(json.dumps(result)) == result
    assert records(emulator, connection) == {"1": {"id": "1", "age": 30}, "2": {"id": "2"}}
    with open(result["report"].removeprefix("file://")) as report:
        assert json.load(report)["accepted"] == 2


def test_a_file_goes_up_in_one_batch_that_the_last_slice_completes(emulator, connection, tmp_path):
    file = tmp_path / "customers.csv"
    file.write_text("id,age\n" + "".join(f"{number:05},30\n" for number in range(12_001)))
    assert upload(connection, source=str(file))["accepted"] == 12_001
    sent = uploads(emulator)
    assert [request["records"] for request in sent] == [5000, 5000, 2001]
    assert [request["batch_completed"] for request in sent] == [False, False, True]
    assert len({request["batch_uuid"] for request in sent}) == 1
    assert records(emulator, connection)["00042"] == {"id": "00042", "age": "30"}


def test_no_rows_are_no_requests(emulator, connection, tmp_path):
    file = tmp_path / "customers.csv"
    file.write_text("id,age\n")
    assert upload(connection, source=str(file))["state"] == "nothing_to_send"
    assert not uploads(emulator)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("customer,age\n1,2\n", "key column 'id' is missing.*customer, age", id="key column"),
        pytest.param(
            "id,age\n1,2\n,3\n", "1 of 2 rows were rejected.*row 2: column 'id': a key is missing", id="null key"
        ),
        pytest.param("id,age\n1,2\n1,3\n", '"1" in rows 1 and 2', id="doubled key"),
        pytest.param("id,age\n1,2\n2\n", "row 2: 1 columns, but the header has 2.*Nothing was sent", id="ragged"),
        pytest.param("id,id\n1,2\n", "columns named twice: 'id'", id="doubled column"),
    ],
)
def test_a_bad_file_fails_before_anything_is_sent(emulator, connection, tmp_path, content, message):
    file = tmp_path / "customers.csv"
    file.write_text(content)
    with pytest.raises(AirflowFailException, match=message):
        upload(connection, source=str(file))
    assert not uploads(emulator)


def test_5001_records_are_never_sent_in_one_request(emulator, connection):
    with pytest.raises(AirflowFailException, match="5001 records in a list: at most 5000"):
        upload(connection, source=[{"id": number} for number in range(5001)])
    assert not uploads(emulator)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either source= or sql="),
        ({"source": [], "sql": "SELECT 1"}, "either source= or sql="),
        ({"sql": "SELECT 1"}, "sql_conn_id="),
        ({"source": "/no/such/file.csv"}, "/no/such/file.csv.*is not there"),
        ({"source": [{"id": 1}], "key_type": "float"}, "key_type 'float'"),
    ],
)
def test_wrong_arguments_are_named(connection, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        upload(connection, **arguments)


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "merge"}, {"source_is": "all"}, {"on_removed": "delete"}, {"mode": "full", "on_removed": "expire"}],
)
def test_words_that_make_no_sense_fail_when_the_dag_is_parsed(wrong):
    with pytest.raises(SettingsError, match=f"{list(wrong)[-1]}='{list(wrong.values())[-1]}'"):
        OptixUploadOperator(task_id="x", data_connection_uuid="u", primary_key="id", **wrong)


@pytest.mark.parametrize(
    ("conn_id", "headers", "run"),
    [
        (
            "optix_default",
            "x-api-key and x-brand-key",
            lambda: OptixCreateConnectionOperator(task_id="t", name="n", primary_key="id").execute({}),
        ),
        ("dcp_default", "Token", lambda: DcpCreateServiceOperator(task_id="t", name="n").execute({})),
    ],
    ids=["optix", "dcp"],
)
def test_a_wrong_key_fails_for_good_and_names_connection_and_header(change_connection, conn_id, headers, run):
    change_connection(conn_id, password="not-the-key")
    with pytest.raises(AirflowFailException, match=f"{conn_id}.*{headers}") as raised:
        run()
    assert "not-the-key" not in str(raised.value)


def test_a_failed_upload_says_what_was_sent_and_shows_nothing(emulator, connection):
    emulator.state.faults.order(*_faults({"endpoint": "upload_data", "skip": 1, "status": 404, "body": "no more"}))
    query = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 12001) SELECT id FROM n"
    with pytest.raises(AirflowFailException, match=r"404: no more.*of 12001 rows.*they count as unsent"):
        upload(connection, sql=query, sql_conn_id="warehouse_default")
    assert records(emulator, connection) == {}


def test_trouble_of_the_server_is_left_to_airflows_retries(emulator, connection, change_connection):
    emulator.state.faults.order(*_faults({"endpoint": "create_connection", "status": 500}))
    create = OptixCreateConnectionOperator(task_id="create", name="Other", primary_key="id")
    with pytest.raises(AirflowException) as raised:
        create.execute({})
    assert not isinstance(raised.value, AirflowFailException)
    # Whether the first try created it is unknown, so a second must not create another.
    with pytest.raises(AirflowFailException, match="Look in the Opti-X UI"):
        create.execute({})
    adopting = OptixCreateConnectionOperator(
        task_id="create", name="Other", primary_key="id", data_connection_uuid=connection
    )
    assert adopting.execute({}) == connection
    assert create.execute({}) == connection


def _faults(*orders):
    from optimove_provider.emulator.model.faults import read_fault

    return map(read_fault, orders)


def test_ensuring_twice_creates_once(emulator, table):
    assert DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes=ATTRIBUTES).execute({}) == table
    assert list(emulator.state.tables[table].attributes) == ["age", "born"]


def test_an_attribute_that_disagrees_registers_nothing(emulator, table):
    wanted = [{"name": "new", "datatype": "string"}, {"name": "age", "datatype": "string"}]
    with pytest.raises(AirflowFailException, match=r"'age' is registered as long, not string.*new name"):
        DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes=wanted).execute({})
    assert list(emulator.state.tables[table].attributes) == ["age", "born"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([{"name": "a", "datatype": "text"}, {"datatype": "long"}], "text.*name is missing"),
        ([{"name": "a", "datatype": "long"}, {"name": "a", "datatype": "long"}], "'a' is listed twice"),
        ("/no/such.json", "/no/such.json"),
    ],
)
def test_attributes_that_make_no_sense_are_all_named(table, attributes, message):
    with pytest.raises(AirflowFailException, match=message):
        DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes=attributes).execute({})


def test_attributes_come_from_a_file_too(table, tmp_path):
    file = tmp_path / "attributes.json"
    file.write_text(json.dumps(ATTRIBUTES))
    assert DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes=str(file)).execute({}) == table


GOOD = "customerId,age,born\n00123,30,1990-02-28\n00124,,\n"
BAD = "customerId,age,born\n00123,30,1990-02-28\n00124,3O,1990-02-30\n"


@pytest.mark.parametrize("known", ["table_id", "attributes"])
def test_validation_names_row_line_column_rule_and_value(table, tmp_path, known):
    file = tmp_path / "customers.csv"
    file.write_text(BAD)
    known_by = {"table_id": table} if known == "table_id" else {"attributes": ATTRIBUTES}
    with pytest.raises(AirflowFailException) as raised:
        ValidateCsvOperator(task_id="v", source=str(file), **known_by).execute({})
    assert "row 2, line 3, column 'age', rule long: value '3O'" in str(raised.value)
    assert "row 2, line 3, column 'born', rule date: value '1990-02-30'" in str(raised.value)


def test_a_valid_file_returns_its_counts(table, tmp_path):
    file = tmp_path / "customers.csv"
    file.write_text(GOOD)
    result = ValidateCsvOperator(task_id="v", source=str(file), table_id=table).execute({})
    assert (result["rows"], result["valid_rows"], result["warnings"]) == (2, 2, 0)


def test_a_file_for_opti_x_needs_its_key_and_nothing_else(emulator, tmp_path):
    file = tmp_path / "customers.tsv"
    file.write_text("id\tanything\n1\tx\n\ty\n")
    with pytest.raises(AirflowFailException, match="row 2, line 3, column 'id', rule key"):
        ValidateCsvOperator(task_id="v", source=str(file), primary_key="id").execute({})


def test_exactly_one_of_three_says_what_is_right(tmp_path):
    with pytest.raises(AirflowFailException, match="give one of table_id=, attributes= and primary_key="):
        ValidateCsvOperator(task_id="v", source="x.csv", table_id=1, primary_key="id").execute({})


@pytest.mark.parametrize("strict", [False, True])
def test_strict_refuses_what_lenient_warns_of(table, tmp_path, strict):
    file = tmp_path / "customers.csv"
    file.write_text("customerId,vip\n1,TRUE\n")
    attributes = [{"name": "vip", "datatype": "bool"}]
    validate = ValidateCsvOperator(task_id="v", source=str(file), attributes=attributes, strict=strict)
    if strict:
        with pytest.raises(AirflowFailException, match="rule bool"):
            validate.execute({})
    else:
        assert validate.execute({})["warnings"] == 1


@pytest.mark.parametrize("wrong", ["prod", None, True, 7.9, ""])
def test_an_id_that_is_none_is_named_and_not_guessed(emulator, wrong):
    profiles = [{"customerId": "1", "age": 1}]
    for operator, what in (
        (DcpWriteProfilesOperator(task_id="w", table_id=wrong, profiles=profiles), "table"),
        (DcpS3ImportOperator(task_id="i", table_id=wrong, source=profiles), "table"),
        (DcpRegisterAttributesOperator(task_id="r", table_id=wrong, attributes={"a": "long"}), "table"),
        (DcpArchiveAttributesOperator(task_id="o", table_id=wrong, names=["a"]), "table"),
        (DcpCreateAliasesOperator(task_id="a", service_id=wrong, aliases=[]), "service"),
        (DcpLinkProjectOperator(task_id="l", project_id=wrong, service_id=1), "project"),
    ):
        with pytest.raises(AirflowFailException, match=f"{what}_id {re.escape(repr(wrong))}: expected the number of"):
            run(operator)


def test_a_user_in_the_profile_hosts_url_is_refused_and_not_shown(emulator, change_connection):
    host = json.loads(os.environ["AIRFLOW_CONN_DCP_DEFAULT"])["extra"]["profile_host"]
    change_connection("dcp_default", extra={"profile_host": host.replace("://", "://bob:s3cret@")})
    with pytest.raises(AirflowFailException, match="profile_host") as caught:
        run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("named", ["rows.jsonl", "*.csv"])
def test_a_retry_sends_what_was_frozen_whatever_became_of_the_source(emulator, connection, tmp_path, named):
    file = tmp_path / named.replace("*", "rows")
    file.write_text('{"id": "1"}\n' if named == "rows.jsonl" else "id\n1\n")
    upload = OptixUploadOperator(
        task_id="upload",
        data_connection_uuid=connection,
        primary_key="id",
        source=str(tmp_path / named),
        sending={"give_up_after": 0},
    )
    emulator.state.faults.order(Fault("upload_data", status=429))
    with pytest.raises(AirflowException, match="429"):
        run(upload, run_id="r", max_tries=1)
    file.unlink()
    assert run(upload, run_id="r", try_number=2, max_tries=1)["accepted"] == 1
    with pytest.raises(AirflowFailException, match=r"is not there|matches no file"):
        run(upload, run_id="another")
