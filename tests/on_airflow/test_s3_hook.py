"""Whose keys an import signs with: the table's, those of `aws_conn_id`, and never a login that the machine may have."""

import json
from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from optimove_provider.contract.dcp.config import Table
from optimove_provider.contract.wire.errors import S3Refused, SettingsError
from optimove_provider.emulator import AWS_ACCESS_KEY, AWS_SECRET_KEY, Switches
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.s3 import import_bucket
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from tests.support.running import run

ROWS = [{"customerId": "1", "age": 30}]


@pytest.fixture(autouse=True)
def ambient(monkeypatch, tmp_path):
    """A worker that has a login of its own, in the environment and in a file, whose region and endpoint are others."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", f"AMBIENT{name}")
    config = tmp_path / "aws"
    keys = "aws_access_key_id = AMBIENTFILE\naws_secret_access_key = AMBIENTFILE\n"
    config.write_text(f"[profile worker]\n{keys}region = eu-west-3\n[default]\n{keys}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "worker")


@pytest.fixture
def make(emulator):
    """A function that makes a table under some switches."""

    def make(**switches):
        emulator.state.switches = Switches(**switches)
        service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
        made = DcpCreateTableOperator(task_id="table", service_id=service, name="C", keyfield_locator_type="uid")
        attributes = [{"name": "age", "datatype": "long"}]
        return run(DcpRegisterAttributesOperator(task_id="attributes", table_id=run(made), attributes=attributes))

    return make


def importing(table):
    return DcpS3ImportOperator(task_id="import", table_id=table, source=ROWS)


def name_keys(monkeypatch, change_connection, access=AWS_ACCESS_KEY, secret=AWS_SECRET_KEY):
    monkeypatch.setenv("AIRFLOW_CONN_WRITER", json.dumps({"conn_type": "aws", "login": access, "password": secret}))
    change_connection("dcp_default", extra={"aws_conn_id": "writer"})


def stored(emulator):
    return [found.key for found in emulator.state.objects.list()]


def test_a_tables_own_keys_sign_whatever_login_the_machine_has(emulator, make):
    before = stored(emulator)
    table = make()
    result = run(importing(table))
    assert stored(emulator)[len(before) :] == result["s3_keys"]
    with DcpHook().get_conn() as client:
        found = client.read_table(table)
        bucket = import_bucket(client.settings, found)
    for one in (bucket.s3, bucket.once):
        keys = one._request_signer._credentials
        assert (keys.access_key, keys.secret_key, keys.token) == (found.aws_access_key, found.aws_secret_key, None)
    assert bucket.once.meta.config.retries["total_max_attempts"] == 1
    assert found.aws_secret_key not in repr(bucket)


@pytest.mark.parametrize("shown", ["null", "empty", "access_key_only"])
def test_where_the_table_lacks_a_key_nothing_is_sent_unless_aws_conn_id_says_otherwise(
    emulator, make, monkeypatch, change_connection, shown
):
    before = stored(emulator)
    table = make(table_keys=shown)
    with pytest.raises(AirflowFailException, match=r"has no AWS keys of its own .*aws_secret_key is empty, or no key"):
        run(importing(table))
    assert stored(emulator) == before
    name_keys(monkeypatch, change_connection)
    assert run(importing(table))["state"] == "uploaded"


def test_a_connection_that_is_not_there_is_no_reason_to_take_the_machines_login(make, change_connection):
    table = make(s3_credentials="any")
    change_connection("dcp_default", extra={"aws_conn_id": "no_such_connection"})
    with pytest.raises(AirflowFailException, match="aws_conn_id 'no_such_connection': there is no such connection"):
        run(importing(table))


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Two more logins that boto would look for: web identity, and a container's role, which nobody answers for."""
    token = tmp_path / "token"
    token.write_text("AMBIENTTOKEN")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/worker")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9/")


@pytest.mark.parametrize("named", ["", None])
def test_without_aws_conn_id_no_login_of_the_machines_is_ever_looked_for(
    make, change_connection, monkeypatch, elsewhere, named
):
    change_connection("dcp_default", extra={"aws_conn_id": named})
    table = make()

    def look(*_):
        raise AssertionError("boto looks for a login")

    monkeypatch.setattr("botocore.credentials.CredentialResolver.load_credentials", look)
    with DcpHook().get_conn() as client:
        found = client.read_table(table)
        assert import_bucket(client.settings, found).find(f"{found.s3_path}/x") is None
        for keys in (
            {"aws_access_key": ""},
            {"aws_secret_key": ""},
            {"aws_access_key": "\u200b"},
            {"aws_secret_key": " "},
        ):
            with pytest.raises(SettingsError, match="has no AWS keys of its own"):
                import_bucket(client.settings, replace(found, **keys))


def test_a_connection_without_keys_asks_for_the_workers_own_login_and_the_log_says_so(
    make, monkeypatch, change_connection, caplog
):
    table = make(table_keys="null")
    monkeypatch.setenv("AIRFLOW_CONN_WRITER", "aws://")
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS_SECRET_KEY)
    change_connection("dcp_default", extra={"aws_conn_id": "writer"})
    assert run(importing(table))["state"] == "uploaded"
    (said,) = [one.getMessage() for one in caplog.records if "the worker's own login" in one.getMessage()]
    assert said.startswith("aws_conn_id 'writer' names neither keys nor a role nor a profile")
    assert said.endswith("(env)")
    assert AWS_SECRET_KEY not in caplog.text


def test_a_connection_with_keys_or_a_profile_is_no_reason_to_say_so(make, monkeypatch, change_connection, caplog):
    table = make()
    name_keys(monkeypatch, change_connection)
    run(importing(table))
    monkeypatch.setenv("AIRFLOW_CONN_WRITER", json.dumps({"conn_type": "aws", "extra": {"profile_name": "worker"}}))
    with DcpHook().get_conn() as client:
        import_bucket(client.settings, client.read_table(table))
    assert "own login" not in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        {"login": "AKIAHALF"},
        {"password": "half-s3cret"},
        {"extra": {"aws_access_key_id": "AKIAHALF"}},
        {"extra": {"aws_secret_access_key": "half-s3cret"}},
    ],
)
def test_a_connection_with_half_of_the_keys_is_refused(emulator, make, monkeypatch, change_connection, fields):
    """Airflow's hook would go on with a login of the machine's."""
    before = stored(emulator)
    table = make(s3_credentials="any")
    monkeypatch.setenv("AIRFLOW_CONN_WRITER", json.dumps({"conn_type": "aws", **fields}))
    change_connection("dcp_default", extra={"aws_conn_id": "writer"})
    with pytest.raises(
        AirflowFailException, match="aws_conn_id 'writer': the connection has one key of the two"
    ) as caught:
        run(importing(table))
    assert stored(emulator) == before
    assert "half-s3cret" not in str(caught.value)


def test_a_connection_without_keys_on_a_worker_without_a_login_is_told(make, monkeypatch, change_connection):
    table = make()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AIRFLOW_CONN_WRITER", "aws://")
    change_connection("dcp_default", extra={"aws_conn_id": "writer"})
    with pytest.raises(AirflowFailException, match="this worker has no login of its own"):
        run(importing(table))


@pytest.mark.parametrize(
    ("access", "secret", "code"),
    [("AKIAFOREIGN", "wrong-s3cret", "InvalidAccessKeyId"), (AWS_ACCESS_KEY, "wrong-s3cret", "SignatureDoesNotMatch")],
)
def test_wrong_keys_are_named_with_bucket_key_operation_and_code(
    make, monkeypatch, change_connection, access, secret, code
):
    table = make()
    name_keys(monkeypatch, change_connection, access, secret)
    with pytest.raises(AirflowFailException) as caught:
        run(importing(table))
    for said in ("s3://optimizely-import/dcp/", code, "CreateMultipartUpload", "check"):
        assert said in str(caught.value)
    assert "wrong-s3cret" not in str(caught.value)


@pytest.mark.parametrize("form", ["ids", "opaque", "slashes"])
def test_a_path_is_taken_as_it_is(emulator, make, form):
    before = stored(emulator)
    table = make(s3_path=form)
    (key,) = run(importing(table))["s3_keys"]
    assert key.startswith(f"{emulator.state.tables[table].path}/optimove-")
    assert stored(emulator)[len(before) :] == [key]


def test_without_a_path_nothing_is_uploaded(emulator, make):
    before = stored(emulator)
    with pytest.raises(AirflowFailException, match="nothing is uploaded to the root of a bucket"):
        run(importing(make(s3_path="null")))
    assert stored(emulator) == before


@pytest.mark.parametrize("permissions", ["get_put_only", "no_complete"])
def test_an_import_needs_no_more_than_get_and_put(emulator, make, permissions):
    table = make(s3_permissions=permissions)
    tries = {"run_id": "a", "max_tries": 1}
    if permissions == "no_complete":
        with pytest.raises(AirflowException, match="puts the file whole") as caught:
            run(importing(table), try_number=1, **tries)
        assert not isinstance(caught.value, AirflowFailException)
    assert run(importing(table), try_number=2, **tries)["state"] == "uploaded"
    emulator.state.switches = Switches()
    with DcpHook().get_conn() as client:
        client.upload_outcome(table, [])
    assert set(emulator.state.tables[table].profiles) == {"1"}


def test_the_connection_may_insist_on_parts(make, change_connection):
    table = make(s3_permissions="get_put_only")
    change_connection("dcp_default", extra={"upload_method": "multipart"})
    with pytest.raises(AirflowFailException, match="CreateMultipartUpload"):
        run(importing(table))


def test_a_role_that_is_not_given_is_named_and_nothing_raw(emulator, make, monkeypatch, change_connection):
    """Keys that come from another service of AWS's, which refuses them."""
    table = make()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", emulator.s3_url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    role = {"role_arn": "arn:aws:iam::123456789012:role/writer"}
    fields = {"conn_type": "aws", "login": "AKIANOBODY", "password": "x", "extra": role}
    monkeypatch.setenv("AIRFLOW_CONN_WRITER", json.dumps(fields))
    change_connection("dcp_default", extra={"aws_conn_id": "writer"})
    with DcpHook().get_conn() as client, pytest.raises((SettingsError, S3Refused)) as caught:
        import_bucket(client.settings, client.read_table(table)).find("dcp/x")
    assert "aws_conn_id" in str(caught.value)


def test_a_table_may_be_read_from_anything():
    assert Table.from_json({"id": 1, "name": "T", "s3_path": None, "aws_access_key": None}).s3_path == ""
