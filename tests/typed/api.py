"""The public calls, as users' type checkers see them. Never run: `make check` type-checks it."""

from datetime import timedelta
from typing import Any, assert_type

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.registered import Registered
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import ensure, profiles
from optimove_provider.contract.dcp.upload_history import Outcome
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Answer
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.optix import OptixHook
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
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from optimove_provider.operators.optix_expire import OptixExpireOperator
from optimove_provider.options import Guards, Sending
from optimove_provider.sensors.dcp import DcpProfileSensor, DcpUploadSensor
from optimove_provider.tasks.replay import replay


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
    assert_type(client.list_attributes(1), list[Registered])
    assert_type(client.ensure_service("name").id, int | None)
    assert_type(client.ensure_table(1, "name", "cookie", "id").created, tuple[str, ...])
    assert_type(client.ensure_attributes(1, [Attribute("a", "long")]), ensure.Ensured)
    assert_type(client.link_project(1, 2), ensure.Ensured)
    assert_type(client.read_profile(1, 2, "customer"), dict[str, Any] | None)
    client.write_profile(1, 2, "customer", {"a": 1, "b": True, "c": "text"})
    assert_type(client.read_consolidated_view(1, 2, "oeu"), list[profiles.Profile])
    assert_type(client.upload_outcome(1, ["key"]), Outcome)
    assert_type(await client.wait(lambda: dcp.upload_outcome(1, ["key"]), 30.0), Outcome)


def options() -> None:
    assert_type(Guards(min_rows_share=None, max_changed_share=0.2), Guards)
    assert_type(Guards.of({"min_rows_share": 0.3}).min_rows_share, float | None)
    assert_type(Sending(resume_within=timedelta(minutes=1)).resume_span, timedelta)
    assert_type(Sending(resume_within=60), Sending)
    assert_type(Sending(max_in_flight=8).as_dict(), dict[str, Any])
    OptixUploadOperator(
        task_id="a", data_connection_uuid="uuid", primary_key="id", guards=Guards(True), sending=Sending(8)
    )
    OptixUploadOperator(
        task_id="b",
        data_connection_uuid="uuid",
        primary_key="id",
        mode="{{ params.mode }}",
        guards={"min_rows_share": "{{ params.share }}"},
        sending={"resume_within": 60},
    )
    OptixUpdateOperator(task_id="c", data_connection_uuid="uuid", primary_key="id", sending=Sending(max_in_flight=1))
    assert_type(replay("file", guards=Guards(max_changed_share=None), sending=Sending(8)), dict[str, Any])
    Guards(min_rows_share="0.3")  # type: ignore[arg-type]
    OptixExpireOperator(task_id="e", data_connection_uuid="u", primary_key="id", keys=["a", 1], suppress=True)
    OptixUploadOperator(task_id="d", data_connection_uuid="u", primary_key="id", guards=Sending())  # type: ignore[arg-type]


def tasks() -> None:
    OptixCreateConnectionOperator(task_id="a", name="name", primary_key="id")
    OptixUploadOperator(task_id="b", data_connection_uuid="uuid", primary_key="id", source=[{"id": 1}])
    OptixUploadOperator(task_id="c", data_connection_uuid="uuid", primary_key="id", sql="SELECT 1", sql_conn_id="db")
    DcpCreateServiceOperator(task_id="d", name="name")
    DcpCreateTableOperator(task_id="e", service_id=1, name="name", keyfield_locator_type="uid")
    DcpRegisterAttributesOperator(task_id="f", table_id=1, attributes=[{"name": "a", "datatype": "long"}])
    DcpRegisterAttributesOperator(task_id="f2", table_id=1, attributes={"a": "long"}, dry_run=True)
    DcpLinkProjectOperator(task_id="f3", project_id=1, service_id=2, replace=True)
    DcpArchiveAttributesOperator(task_id="f7", table_id=1, names=["a"], dry_run=True)
    DcpArchiveAttributesOperator(task_id="f8", table_id=1, names={"a": "long"})
    DcpWriteProfilesOperator(task_id="f4", table_id=1, profiles=[{"customerId": "1"}], epoch_unit="milliseconds")
    DcpCreateAliasesOperator(task_id="f5", service_id=1, aliases=[])
    DcpProfileSensor(task_id="f6", table_id=1, profiles={"1": {"a": 1}})
    DcpS3ImportOperator(task_id="g", table_id=1, source="s3://bucket/key.csv", guards=Guards(allow_empty=True))
    ValidateCsvOperator(task_id="h", source="file.csv", attributes="attributes.json", strict=True)
    sensor = DcpUploadSensor(task_id="i", table_id=1, s3_key=["a", "b"], deferrable=True, retries=1)
    assert_type(sensor.poke({}).xcom_value, Any | None)
