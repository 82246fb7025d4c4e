"""Hooks: what Test connection says, and what a broken connection says."""

import os
import subprocess
import sys

import pytest

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator import Fault
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.optix import OptixHook


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
