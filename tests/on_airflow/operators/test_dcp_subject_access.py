"""Subject access requests: what is asked of Optimizely, with which token, and what is said where that cannot be."""

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpWriteProfilesOperator,
)
from optimove_provider.operators.dcp_subject_access import DcpSubjectAccessOperator
from tests.support.running import run


@pytest.fixture
def table(emulator):
    """A table with two profiles."""
    service = DcpCreateServiceOperator(task_id="service", name="Shop").execute({})
    made = DcpCreateTableOperator(
        task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid"
    ).execute({})
    found = DcpRegisterAttributesOperator(task_id="a", table_id=made, attributes={"age": "long"}).execute({})
    profiles = [{"customerId": "1", "age": 3}, {"customerId": "2", "age": 4}]
    run(DcpWriteProfilesOperator(task_id="write", table_id=found, profiles=profiles))
    return found


def ask(**settings):
    return run(DcpSubjectAccessOperator(task_id="ask", **settings))


def test_each_customer_is_asked_for_and_the_result_names_none(emulator, table):
    asked = ask(customer_ids=["1", "nobody"])
    assert [one["status"] for one in asked] == ["pending", "pending"]
    assert len({one["id"] for one in asked}) == 2
    assert set(emulator.state.tables[table].profiles) == {"2"}
    sent = [one for one in emulator.state.requests if one["endpoint"] == "create_subject_access_request"]
    assert [(one["method"], one["path"], one["status"]) for one in sent] == [
        ("POST", "/v2/subject-access-requests", 201)
    ] * 2
    assert "nobody" not in json.dumps(asked)


def test_an_export_deletes_nothing(emulator, table):
    assert len(ask(customer_ids="1", request_type="access")) == 1
    assert set(emulator.state.tables[table].profiles) == {"1", "2"}


def test_nobody_to_ask_for_is_nothing_to_do(emulator):
    assert ask(customer_ids=[]) == []


def test_the_token_is_one_of_its_own(emulator, change_connection):
    change_connection("dcp_default", extra={"rest_token": "wrong-token"})
    with pytest.raises(AirflowFailException, match="rest_token") as caught:
        ask(customer_ids=["1"])
    assert "wrong-token" not in str(caught.value)
    change_connection("dcp_default", extra={"rest_token": ""})
    with pytest.raises(AirflowFailException, match="set rest_token, a personal access token"):
        ask(customer_ids=["1"])


def test_what_has_no_answer_is_not_sent_again_by_itself(emulator):
    emulator.state.faults.order(Fault("create_subject_access_request", lost="after"))
    with pytest.raises(AirflowException):
        ask(customer_ids=["1"])
    assert len(emulator.state.requests) == 1


def test_an_id_that_is_too_long_is_refused_before_any_is_sent(emulator):
    with pytest.raises(SettingsError, match="1 of more than 355 characters"):
        ask(customer_ids=["1", "x" * 356])
    assert not emulator.state.requests


@pytest.mark.parametrize(
    "wrong",
    [
        {"identifier": ""},
        {"identifier": "x" * 356},
        {"identifier_type": "phone"},
        {"request_type": "erase"},
        {"data_type": None},
    ],
)
def test_the_emulator_is_as_strict_as_the_page(emulator, wrong):
    from optimove_provider.contract.wire.messages import Request, json_body
    from optimove_provider.emulator import TOKEN, handle

    body = {"data_type": "visitor", "identifier_type": "dcp_id", "identifier": "1", "request_type": "delete", **wrong}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = handle(emulator.state, Request("POST", "/v2/subject-access-requests", headers, json_body(body)))
    assert answer.status == 400
