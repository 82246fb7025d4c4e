"""What the API cannot change is archived and gets a replacement; and what becomes of archived tables."""

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from optimove_provider.emulator import TOKEN, Fault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.operators.csv import ValidateCsvOperator
from optimove_provider.operators.dcp import (
    DcpArchiveAttributesOperator,
    DcpCreateAliasesOperator,
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
)
from tests.support.running import run as run_task

pytestmark = pytest.mark.any_version


def run(operator, **parameters):
    return operator(task_id="task", **parameters).execute({})


@pytest.fixture
def service(emulator) -> int:
    return run(DcpCreateServiceOperator, name="Shop")


@pytest.fixture
def table(service) -> int:
    table = run(DcpCreateTableOperator, service_id=service, name="Customers", keyfield_locator_type="uid")
    return run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": "long", "vip": "bool"})


def attributes(table):
    with DcpHook().get_conn() as client:
        return {one.name: (one.kind, one.archived) for one in client.list_attributes(table)}


def deletes(emulator):
    return [request for request in emulator.state.requests if request["endpoint"] == "delete_attribute"]


def test_an_attribute_gets_another_datatype_night_after_night(emulator, table):
    for night in range(3):
        archived = run(DcpArchiveAttributesOperator, table_id=table, names={"ltv": "long"})
        assert len(archived) == (1 if night == 0 else 0)
        run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": "double", "vip": "bool"})
        assert attributes(table)["ltv"] == ("double", False)
        run(DcpWriteProfilesOperator, table_id=table, profiles=[{"customerId": "1", "ltv": 1.5}])
    assert emulator.state.tables[table].profiles["1"]["ltv"] == 1.5
    assert len(deletes(emulator)) == 1


def test_what_is_archived_stays_so_and_an_unknown_name_archives_nothing(emulator, table):
    with pytest.raises(AirflowFailException, match=r"has no attribute 'LTV': check the names.* it has 'ltv', 'vip'"):
        run(DcpArchiveAttributesOperator, table_id=table, names=["vip", "LTV"])
    assert not deletes(emulator)
    would = run(DcpArchiveAttributesOperator, table_id=table, names=["vip"], dry_run=True)
    assert not deletes(emulator)
    assert run(DcpArchiveAttributesOperator, table_id=str(table), names=["vip"]) == would
    assert run(DcpArchiveAttributesOperator, table_id=table, names=["vip", "vip"]) == []
    assert run(DcpArchiveAttributesOperator, table_id=table, names={"gone": "long"}) == []
    assert len(deletes(emulator)) == 1


ORDERS = pytest.mark.parametrize("order", ["archived_first", "archived_last"])


@ORDERS
def test_what_was_archived_for_good_comes_back_with_a_warning_only(emulator, table, caplog, order):
    """Nobody knows whether it was meant: so it is created, as ever, but not in silence."""
    emulator.state.switches = Switches(archived_order=order)
    (old,) = run(DcpArchiveAttributesOperator, table_id=table, names=["vip"])
    for dry_run, says in ((True, "would be created"), (False, "is created")):
        caplog.clear()
        run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": "long", "vip": "bool"}, dry_run=dry_run)
        (told,) = [one.message for one in caplog.records if "is archived, and it is wanted again" in one.message]
        assert f"attribute 'vip' (bool, id {old})" in told
        assert says in told
        assert "take it out of the attributes" in told
    caplog.clear()
    run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": "long", "vip": "bool"})
    assert "wanted again" not in caplog.text


@ORDERS
def test_another_datatype_is_no_such_case_even_back_and_forth(emulator, table, caplog, order):
    emulator.state.switches = Switches(archived_order=order)
    for old, new in (("long", "double"), ("double", "long"), ("long", "double")):
        run(DcpArchiveAttributesOperator, table_id=table, names={"ltv": old})
        run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": new, "vip": "bool"})
        assert attributes(table)["ltv"] == (new, False)
    assert not [one for one in caplog.records if one.levelname == "WARNING" and "http://" not in one.message]


@pytest.mark.parametrize("listed", ["yes", "no"])
def test_a_misspelt_name_with_a_datatype_is_told_and_the_nightly_journey_is_silent(emulator, table, caplog, listed):
    emulator.state.switches = Switches(archived_in_lists=listed)
    for night in range(2):
        assert len(run(DcpArchiveAttributesOperator, table_id=table, names={"ltv": "long"})) == (night == 0)
        run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": "double", "vip": "bool"})
    assert "not listed" not in caplog.text
    assert run(DcpArchiveAttributesOperator, table_id=table, names={"LTVV": "double", "vip": "bool"})
    (told,) = [one.message for one in caplog.records if "not listed" in one.message]
    assert f"table {table} has no attribute 'LTVV'" in told
    assert "it has 'ltv', 'vip'" in told


def test_a_retry_goes_on_where_archived_attributes_are_not_listed(emulator, table):
    emulator.state.switches = Switches(archived_in_lists="no")
    names = ["ltv", "vip"]
    emulator.state.faults.order(Fault("delete_attribute", skip=1, times=9, status=403))
    operator = DcpArchiveAttributesOperator(task_id="task", table_id=table, names=names)
    with pytest.raises(AirflowFailException):
        run_task(operator)
    emulator.state.faults.answers.clear()
    assert len(run_task(operator, try_number=2)) == 1
    assert not attributes(table)
    with pytest.raises(AirflowFailException, match="check the names"):
        run_task(operator)


@pytest.mark.parametrize("names", [[], {}, "vip", ["vip", ""], [7], [["vip"]], None, {"vip": "boolean"}, {"vip": None}])
def test_names_that_are_none_are_refused(emulator, table, names):
    with pytest.raises(AirflowFailException, match=r"names .*: expected a list|datatype .* is unknown"):
        run(DcpArchiveAttributesOperator, table_id=table, names=names)
    assert not deletes(emulator)


def test_a_description_is_updated_where_that_is_asked_for_and_once(emulator, service, table):
    def ensure(**more):
        return run(DcpCreateTableOperator, service_id=service, name="Customers", keyfield_locator_type="uid", **more)

    ensure(description="all of them")
    assert emulator.state.tables[table].description is None
    ensure(description="all of them", update=True, dry_run=True)
    assert emulator.state.tables[table].description is None
    for _ in range(2):
        assert ensure(description="all of them", update=True) == table
    ensure(update=True)
    assert emulator.state.tables[table].description == "all of them"
    assert [request["endpoint"] for request in emulator.state.requests].count("update_table") == 1


ODD = {"id": 7, "name": "place", "datatype": "geo", "format": None, "archived": False}


def listing(emulator, table, *more):
    """Let the next list of attributes have these besides, first or last."""
    return json.dumps([*more, *(one.as_json() for one in emulator.state.tables[table].attributes.values())])


def test_an_attribute_of_an_unknown_datatype_blocks_only_its_own_column(emulator, table, tmp_path):
    def answer():
        emulator.state.faults.order(
            Fault("list_attributes", status=200, body=listing(emulator, table, ODD, {"name": None}))
        )

    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("customerId,ltv\n1,30\n")
    bad.write_text("customerId,ltv,place\n1,30,here\n")
    told = r"attribute 'place' \(id 7\) has datatype 'geo', which is unknown here.*create a replacement"
    answer()
    assert run(ValidateCsvOperator, table_id=table, source=str(good))["valid_rows"] == 1
    answer()
    with pytest.raises(AirflowFailException, match=told):
        run(ValidateCsvOperator, table_id=table, source=str(bad))
    answer()
    assert run(DcpWriteProfilesOperator, table_id=table, profiles=[{"customerId": "1", "ltv": 30}])["accepted"] == 1
    answer()
    with pytest.raises(AirflowFailException, match=told):
        run(DcpWriteProfilesOperator, table_id=table, profiles=[{"customerId": "1", "place": "here"}])
    answer()
    with pytest.raises(AirflowFailException, match="'place'"):
        run(DcpRegisterAttributesOperator, table_id=table, attributes={"place": "string"})
    answer()
    run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": "long"})


def test_nothing_is_registered_beside_an_entry_that_may_be_it(emulator, table):
    emulator.state.faults.order(Fault("list_attributes", status=200, body=listing(emulator, table, {"name": None})))
    with pytest.raises(AirflowFailException, match="attribute 'new' is not listed, but what is listed has 1 odd"):
        run(DcpRegisterAttributesOperator, table_id=table, attributes={"new": "long"})
    assert "new" not in attributes(table)


def archive(emulator, table, **more):
    shown = {**emulator.state.tables[table].as_json(), "archived": True, **more}
    emulator.state.faults.order(Fault("read_table", times=100, status=200, body=json.dumps(shown)))


def test_nothing_is_read_or_sent_for_an_archived_table(emulator, table, tmp_path):
    profiles, before = [{"customerId": "1", "ltv": 1}], emulator.state.objects.list()
    for operator, rows in (
        (DcpS3ImportOperator, {"source": str(tmp_path / "none.csv")}),
        (DcpWriteProfilesOperator, {"profiles": profiles}),
    ):
        archive(emulator, table)
        with pytest.raises(AirflowFailException, match=rf"table 'Customers' \(id {table}\) is archived.*restore it"):
            run_task(operator(task_id="task", table_id=table, **rows))
    assert not emulator.state.tables[table].profiles
    assert emulator.state.objects.list() == before


def test_no_alias_names_an_archived_table(emulator, service, table):
    shown = [{**one.as_json(), "archived": one.id == table} for one in emulator.state.tables.values()]
    emulator.state.faults.order(Fault("list_tables", status=200, body=json.dumps(shown)))
    aliases = [{"optimizely_user_id": "oeu1", "aliases": [{"table_id": table, "customer_id": "c1"}]}]
    with pytest.raises(AirflowFailException, match="archived, or no table of the service"):
        run(DcpCreateAliasesOperator, service_id=service, aliases=aliases)


def test_a_table_whose_service_is_not_told_has_no_profiles(emulator, table):
    archive(emulator, table, archived=False, dcp_service_id=None)
    with pytest.raises(AirflowFailException, match="given without a dcp_service_id"):
        run(DcpWriteProfilesOperator, table_id=table, profiles=[{"customerId": "1", "ltv": 1}])


def test_a_connection_with_an_oauth_token_does_all_of_it_and_shows_none(emulator, change_connection, caplog):
    change_connection("dcp_default", extra={"auth_scheme": "Bearer"})
    with pytest.raises(AirflowFailException, match=r"Authorization \(auth_scheme Bearer\)") as refused:
        run(DcpCreateServiceOperator, name="Shop")
    emulator.state.switches = Switches(accepted_auth="bearer")
    service = run(DcpCreateServiceOperator, name="Shop")
    table = run(DcpCreateTableOperator, service_id=service, name="Customers", keyfield_locator_type="uid")
    run(DcpRegisterAttributesOperator, table_id=table, attributes={"ltv": "long"})
    run(DcpWriteProfilesOperator, table_id=table, profiles=[{"customerId": "1", "ltv": 1}])
    assert emulator.state.tables[table].profiles == {"1": {"ltv": 1}}
    echo = json.dumps({"message": f"Authorization: Bearer {TOKEN} is not known"})
    emulator.state.faults.order(Fault("list_services", status=403, body=echo))
    with pytest.raises(AirflowFailException, match=r"Bearer \*\*\* is not known") as echoed:
        run(DcpCreateServiceOperator, name="Shop")
    assert TOKEN not in f"{refused.value}{echoed.value}{caplog.text}"


def test_pages_of_every_list_are_read(emulator, service):
    emulator.state.switches = Switches(list_page_size=1, archived_order="archived_last")
    tables = [
        run(DcpCreateTableOperator, service_id=service, name=name, keyfield_locator_type="uid") for name in "abab"
    ]
    assert tables[:2] == tables[2:]
    run(DcpRegisterAttributesOperator, table_id=tables[0], attributes={"x": "long", "y": "long"})
    run(DcpArchiveAttributesOperator, table_id=tables[0], names=["x"])
    run(DcpRegisterAttributesOperator, table_id=tables[0], attributes={"x": "double", "y": "long"})
    assert attributes(tables[0]) == {"x": ("double", False), "y": ("long", False)}
    run(DcpWriteProfilesOperator, table_id=tables[0], profiles=[{"customerId": "1", "x": 1.5}])


@pytest.mark.parametrize("order", ["archived_first", "archived_last"])
def test_a_table_beside_an_archived_one_of_its_name_is_the_one(emulator, service, order):
    emulator.state.switches = Switches(archived_order=order)
    old = run(
        DcpCreateTableOperator,
        service_id=service,
        name="Customers",
        keyfield_locator_type="cookie",
        keyfield_locator_name="c",
    )
    emulator.state.tables[old].archived = True
    parameters = {"service_id": service, "name": "Customers", "keyfield_locator_type": "uid"}
    with pytest.raises(AirflowFailException, match="is archived: restore it"):
        run(DcpCreateTableOperator, **parameters)
    emulator.state.tables[old].name = "other"
    new = run(DcpCreateTableOperator, **parameters)
    emulator.state.tables[old].name = "Customers"
    assert run(DcpCreateTableOperator, **parameters) == new
    emulator.state.tables[old].archived = False
    with pytest.raises(AirflowFailException, match=f"exists 2 times: ids ({old}, {new}|{new}, {old})"):
        run(DcpCreateTableOperator, **parameters)
