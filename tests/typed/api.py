"""The public calls, as users' type checkers see them. Never run: `make check` type-checks it."""

from typing import Any, assert_type

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract import dcp, optix
from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.uploads import Outcome
from optimove_provider.contract.wire import Answer
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.operators.csv import ValidateCsvOperator
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.sensors.dcp import DcpUploadSensor


def clients() -> None:
    assert_type(OptixHook().get_conn(), OptixClient)
    assert_type(DcpHook("other").get_conn(), DcpClient)
    assert_type(OptixSettings.read("id", {}), OptixSettings)
    assert_type(DcpSettings.read("id", {}), DcpSettings)


def optix_calls(client: OptixClient) -> None:
    assert_type(client.create_connection("name", "key"), str)
    client.upload_data("uuid", optix.Records(1, b"[{}]"), batch_uuid="uuid", batch_completed=True, ttl_seconds=60)
    assert_type(client.reach(), Answer)


async def dcp_calls(client: DcpClient) -> None:
    assert_type(client.list_services(), list[dcp.Service])
    assert_type(client.read_table(1), dcp.Table)
    assert_type(client.list_attributes(1), list[Attribute])
    assert_type(client.ensure_service("name").id, int)
    assert_type(client.ensure_table(1, "name", "cookie", "id").created, tuple[str, ...])
    assert_type(client.ensure_attributes(1, [Attribute("a", "long")]), dcp.Ensured)
    assert_type(client.upload_outcome(1, ["key"]), Outcome)
    assert_type(await client.wait_for_uploads(1, ["key"], 30.0), Outcome)


def tasks() -> None:
    OptixCreateConnectionOperator(task_id="a", name="name", primary_key="id")
    OptixUploadOperator(task_id="b", data_connection_uuid="uuid", primary_key="id", source=[{"id": 1}])
    OptixUploadOperator(task_id="c", data_connection_uuid="uuid", primary_key="id", sql="SELECT 1", sql_conn_id="db")
    DcpCreateServiceOperator(task_id="d", name="name")
    DcpCreateTableOperator(task_id="e", service_id=1, name="name", keyfield_locator_type="uid")
    DcpRegisterAttributesOperator(task_id="f", table_id=1, attributes=[{"name": "a", "datatype": "long"}])
    DcpS3ImportOperator(task_id="g", table_id=1, source="s3://bucket/key.csv")
    ValidateCsvOperator(task_id="h", source="file.csv", attributes="attributes.json", strict=True)
    sensor = DcpUploadSensor(task_id="i", table_id=1, s3_key=["a", "b"], deferrable=True, retries=1)
    assert_type(sensor.poke({}).xcom_value, Any | None)
