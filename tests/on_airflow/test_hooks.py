"""Hooks: what Test connection says, and what a broken connection says."""

import inspect
import json
import os
import subprocess
import sys

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.demo import airflow_home
from optimove_provider.emulator import Fault
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.operators.dcp import DcpCreateServiceOperator
from optimove_provider.operators.optix import OptixUploadOperator
from tests.support.running import run


def test_dcp_lists_its_services(emulator):
    with DcpHook().get_conn() as client:
        created = client.ensure_service("Shop")
    assert DcpHook().test_connection() == (True, f"The token is accepted. DCP services: 'Shop' ({created.id}).")


def test_optix_says_what_it_could_not_check_and_writes_nothing(emulator):
    works, message = OptixHook().test_connection()
    assert works
    assert "documents no read" in message
    assert [request["method"] for request in emulator.state.requests] == ["GET"]


@pytest.mark.parametrize(
    ("hook", "conn_id", "status"), [(OptixHook, "optix_default", "401"), (DcpHook, "dcp_default", "403")]
)
def test_a_wrong_key_is_named(change_connection, hook, conn_id, status):
    change_connection(conn_id, password="not-the-key")
    works, message = hook().test_connection()
    assert not works
    assert status in message
    assert "not-the-key" not in message


def test_a_host_that_is_not_there_is_an_answer_not_a_long_wait(change_connection):
    change_connection("dcp_default", host="http://127.0.0.1:1")
    works, message = DcpHook().test_connection()
    assert not works
    assert "http://127.0.0.1:1" in message
    assert "Connection refused" in message


def test_a_server_that_asks_for_more_patience_than_a_person_has_is_quoted(emulator):
    emulator.state.faults.order(Fault("list_services", status=429, headers={"retry-after": "120"}))
    works, message = DcpHook().test_connection()
    assert not works
    assert "Retry-After: 120, and give_up_after leaves 15 s" in message


def test_everything_that_is_missing_is_named_at_once(change_connection):
    change_connection("optix_default", password="", extra={"brand_api_key": None, "timeout_seconds": "soon"})
    with pytest.raises(SettingsError, match=r"optix_default.*password.*brand_api_key.*timeout_seconds 'soon'"):
        OptixHook().get_conn()
    assert OptixHook().test_connection()[0] is False


@pytest.mark.parametrize("conn_id", ["optix_default", "dcp_default"])
def test_airflow_connections_test(emulator, airflow_db, conn_id):
    said = subprocess.run(
        [sys.executable, "-m", "airflow", "connections", "test", conn_id],
        env={**os.environ, "AIRFLOW__CORE__TEST_CONNECTION": "Enabled"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Connection success!" in said.stdout


@pytest.mark.parametrize(
    "operator",
    [
        DcpCreateServiceOperator(task_id="t", name="n", dcp_conn_id="nowhere"),
        OptixUploadOperator(
            task_id="t", data_connection_uuid="u", primary_key="id", source=[{"id": 1}], optix_conn_id="nowhere"
        ),
        OptixUploadOperator(
            task_id="t",
            data_connection_uuid="34f8cfca-85fa-444f-97b2-a5b8cbff6907",
            primary_key="id",
            sql="SELECT 1 AS id",
            sql_conn_id="nowhere",
        ),
    ],
    ids=["hook", "load", "warehouse"],
)
def test_a_connection_that_is_not_there_is_one_sentence_and_no_retry(emulator, operator):
    with pytest.raises(AirflowFailException, match=r"nowhere.*Admin > Connections.*then clear the task") as raised:
        run(operator)
    assert str(raised.value).count("nowhere") <= 2
    assert "\n" not in str(raised.value)


def test_so_it_is_for_who_asks_the_hook(emulator):
    with pytest.raises(SettingsError, match="connection 'nowhere' is not there"):
        DcpHook("nowhere").get_conn()
    assert OptixHook("nowhere").test_connection()[0] is False


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")  # Airflow's own route
@pytest.mark.parametrize("conn_id", ["optix_default", "dcp_default"])
def test_the_test_button_works_on_what_make_up_stores(emulator, airflow_db, monkeypatch, tmp_path, conn_id):
    """The body is what Airflow's form sends: secrets starred, and 0 for the blank port."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.datamodels.connections import ConnectionBody
    from airflow.api_fastapi.core_api.routes.public import connections as route
    from airflow.secrets.local_filesystem import load_connections_dict
    from airflow.utils.session import create_session

    file = tmp_path / "connections.json"
    stored = airflow_home.connections(emulator.url, emulator.s3_url, tmp_path / "none.db")[conn_id]
    file.write_text(json.dumps({f"{conn_id}_stored": stored}))
    (imported,) = load_connections_dict(str(file)).values()
    assert imported.port == 0
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    starred = {name: "***" if name == "brand_api_key" else value for name, value in stored["extra"].items()}
    body = ConnectionBody(
        connection_id=f"{conn_id}_stored",
        conn_type=stored["conn_type"],
        host=stored["host"],
        port=0,
        password="***",
        extra=json.dumps(starred),
    )
    who = {"auth_manager": SimpleAuthManager(), "user": SimpleAuthManagerUser(username="admin", role="admin")}
    asked = inspect.signature(route.test_connection).parameters
    with create_session() as session:
        session.add(imported)
        session.commit()
        try:
            answer = route.test_connection(body, **{name: who[name] for name in who if name in asked})
        finally:
            session.delete(imported)
    assert (answer.status, "emulator-" in answer.message) == (True, False), answer.message
