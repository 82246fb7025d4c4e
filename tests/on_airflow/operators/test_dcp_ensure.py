"""The DCP operators that ensure, and those for small sets, against the running emulator."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.operators.dcp import (
    DcpCreateAliasesOperator,
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpLinkProjectOperator,
    DcpRegisterAttributesOperator,
    DcpWriteProfilesOperator,
)

pytestmark = pytest.mark.any_version


def run(operator, **kwargs):
    return operator(task_id="task", **kwargs).execute({})


@pytest.fixture
def service(emulator) -> int:
    return run(DcpCreateServiceOperator, name="Shop")


@pytest.fixture
def table(service) -> int:
    return run(DcpCreateTableOperator, service_id=service, name="Customers", keyfield_locator_type="uid")


def attributes(table):
    with DcpHook().get_conn() as client:
        return {one.name: one.kind for one in client.list_attributes(table)}


def read(result, name="report"):
    return Path(urlsplit(result[name]).path)


def test_a_dry_run_returns_the_id_or_none(emulator):
    assert run(DcpCreateServiceOperator, name="Shop", dry_run=True) is None
    assert emulator.state.services == {}
    service = run(DcpCreateServiceOperator, name="Shop")
    assert run(DcpCreateServiceOperator, name="Shop", dry_run=True) == service
    parameters = {"service_id": service, "name": "Customers", "keyfield_locator_type": "uid"}
    assert run(DcpCreateTableOperator, **parameters, dry_run=True) is None
    table = run(DcpCreateTableOperator, **parameters)
    assert run(DcpRegisterAttributesOperator, table_id=table, attributes={"age": "long"}, dry_run=True) == table
    assert attributes(table) == {}
    assert run(DcpLinkProjectOperator, project_id=1234, service_id=service, dry_run=True) == 1234
    assert emulator.state.projects[1234].dcp_service_id is None


def test_a_dry_run_goes_on_where_something_disagrees_and_a_real_one_fails(table, caplog):
    run(DcpRegisterAttributesOperator, table_id=table, attributes={"age": "long"})
    parameters = {"table_id": table, "attributes": {"age": "double"}}
    assert run(DcpRegisterAttributesOperator, **parameters, dry_run=True) == table
    with pytest.raises(AirflowFailException, match="registered as long, not double, and the API cannot change that"):
        run(DcpRegisterAttributesOperator, **parameters)


def test_a_project_is_linked(emulator, service):
    for _ in range(2):
        assert run(DcpLinkProjectOperator, project_id="1234", service_id=service) == 1234
    assert emulator.state.projects[1234].dcp_service_id == service
    emulator.state.projects[1234].dcp_service_id = 7
    with pytest.raises(AirflowFailException, match="linked to service 7"):
        run(DcpLinkProjectOperator, project_id=1234, service_id=service)
    run(DcpLinkProjectOperator, project_id=1234, service_id=service, replace=True)
    assert emulator.state.projects[1234].dcp_service_id == service


KINDS = {"ltv": "double", "born": "datetime yyyy-mm-dd", "vip": "bool"}


def listed():
    return [
        {"name": "ltv", "datatype": "double"},
        {"name": "vip", "datatype": "bool"},
        {"name": "born", "datatype": "datetime", "format": "yyyy-mm-dd"},
    ]


def typed():
    columns = {"customerId": pa.string(), "ltv": pa.float64(), "born": pa.date32(), "vip": pa.bool_()}
    return pa.table({name: pa.array([], kind) for name, kind in columns.items()})


@pytest.mark.parametrize("form", ["mapping", "list", "json", "parquet", "arrow"])
def test_attributes_come_in_five_forms(table, tmp_path, form):
    paths = {name: str(tmp_path / f"attributes.{name}") for name in ("json", "parquet", "arrow")}
    Path(paths["json"]).write_text(json.dumps(listed()))
    pq.write_table(typed(), paths["parquet"])
    with pa.ipc.new_file(paths["arrow"], typed().schema) as writer:
        writer.write_table(typed())
    parameters = {"mapping": KINDS, "list": listed(), **paths}[form]
    run(DcpRegisterAttributesOperator, table_id=table, attributes=parameters)
    assert attributes(table) == KINDS


def test_columns_without_a_datatype_are_all_named(table, tmp_path):
    path = str(tmp_path / "nested.parquet")
    pq.write_table(pa.table({"tags": pa.array([["a"]]), "time": pa.array([1], pa.time64("us")), "ok": [1]}), path)
    with pytest.raises(AirflowFailException, match=r"'tags' is list.*'time' is time64"):
        run(DcpRegisterAttributesOperator, table_id=table, attributes=path)
    assert attributes(table) == {}


def test_a_file_of_another_kind_says_so(table, tmp_path):
    path = tmp_path / "text.parquet"
    path.write_text("no")
    with pytest.raises(AirflowFailException, match="is no Parquet or Arrow file"):
        run(DcpRegisterAttributesOperator, table_id=table, attributes=str(path))


@pytest.fixture
def filled(table) -> int:
    kinds = {"age": "long", "since": "datetime epoch"}
    return run(DcpRegisterAttributesOperator, table_id=table, attributes=kinds)


def test_profiles_are_written_from_a_list(emulator, filled):
    result = run(DcpWriteProfilesOperator, table_id=filled, profiles=[{"customerId": "1", "age": 30}])
    assert {name: result[name] for name in ("state", "rows", "accepted", "rejected", "unsent")} == {
        "state": "committed",
        "rows": 1,
        "accepted": 1,
        "rejected": 0,
        "unsent": 0,
    }
    assert emulator.state.tables[filled].profiles == {"1": {"age": 30}}
    assert json.loads(read(result).read_text())["accepted"] == 1


def test_profiles_are_written_from_a_file(emulator, filled, tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("customerId,age\n007,30\n8,\n")
    run(DcpWriteProfilesOperator, table_id=filled, source=str(path))
    assert emulator.state.tables[filled].profiles == {"007": {"age": 30}, "8": {}}


def test_a_rejected_profile_fails_the_task_and_names_the_file_that_holds_it(emulator, filled):
    profiles = [{"customerId": "1", "age": 30}, {"customerId": "2", "age": "old"}]
    with pytest.raises(AirflowFailException, match=r"row 2: attribute 'age', value 'old'.*rejected\.jsonl"):
        run(DcpWriteProfilesOperator, table_id=filled, profiles=profiles)
    assert emulator.state.tables[filled].profiles == {}
    result = run(DcpWriteProfilesOperator, table_id=filled, profiles=profiles, max_rejected=1)
    assert (result["accepted"], result["rejected"]) == (1, 1)
    (line,) = Path(urlsplit(json.loads(read(result).read_text())["rejected_file"]).path).read_text().splitlines()
    assert json.loads(line)["record"] == profiles[1]


@pytest.mark.parametrize(("unit", "fits"), [("seconds", 1651676123), ("milliseconds", 1651676123000)])
def test_epochs_in_the_other_unit_are_refused_if_strict(filled, unit, fits):
    for value in (1651676123, 1651676123000):
        parameters = {"table_id": filled, "profiles": [{"customerId": "1", "since": value}], "epoch_unit": unit}
        result = run(DcpWriteProfilesOperator, **parameters)
        assert bool(json.loads(read(result).read_text())["notes"]) is (value != fits)
        if value != fits:
            with pytest.raises(AirflowFailException, match="this looks like"):
                run(DcpWriteProfilesOperator, **parameters, strict=True)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "either profiles= or source="),
        ({"profiles": [], "epoch_unit": "minutes"}, "epoch_unit 'minutes'"),
        ({"profiles": [{}] * 5001}, "more than 5000 records"),
    ],
)
def test_what_cannot_be_meant_is_refused(filled, parameters, says):
    with pytest.raises(AirflowFailException, match=says):
        run(DcpWriteProfilesOperator, table_id=filled, **parameters)


def test_aliases_are_created(emulator, service, table):
    aliases = [{"optimizely_user_id": "oeu1", "aliases": [{"table_id": table, "customer_id": "c1"}]}]
    result = run(DcpCreateAliasesOperator, service_id=service, aliases=aliases)
    assert (result["state"], result["accepted"]) == ("committed", 1)
    assert emulator.state.services[service].aliases == {"oeu1": {str(table): "c1"}}
