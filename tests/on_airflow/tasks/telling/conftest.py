"""One run of real Airflow with a load of each kind and of each end; the tests look at what it told whom."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from airflow.sdk import DAG

from optimove_provider.assets import optix_asset
from optimove_provider.clients.http import in_doubt
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.operators.dcp import (
    DcpCreateAliasesOperator,
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
)
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from tests.support.telling import listeners, runs
from tests.support.telling.runs import SECRET_VALUE

WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}


@dataclass
class Told(runs.Run):
    """What a run told, and what it was about."""

    metrics: list[str] = field(default_factory=list)
    lineage: list[dict[str, Any]] = field(default_factory=list)
    connection: str = ""
    service: int = 0
    table: int = 0
    host: str = ""
    batches: set[str] = field(default_factory=set)


@pytest.fixture
def connection(emulator) -> str:
    return _connection()


@pytest.fixture
def table(emulator) -> int:
    return _table()[1]


def _connection(name: str = "Customers") -> str:
    return OptixCreateConnectionOperator(task_id="create", name=name, primary_key="id").execute({})


def _table() -> tuple[int, int]:
    service = DcpCreateServiceOperator(task_id="service", name="Shop").execute({})
    made = DcpCreateTableOperator(
        task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid"
    ).execute({})
    return service, DcpRegisterAttributesOperator(task_id="a", table_id=made, attributes={"age": "long"}).execute({})


@pytest.fixture(scope="session")
def all_kinds(running_emulator, airflow_db, tmp_path_factory) -> Told:
    """The run. Its tasks follow each other, whatever became of the one before."""
    state, folder = running_emulator.state, tmp_path_factory.mktemp("all-kinds")
    state.reset()
    # By a name of its own: staging may remember what another test has made, which the emulator has forgotten.
    connection, (service, table) = _connection("Of all kinds"), _table()
    dag = _dag(connection, service, table, folder)
    state.faults.order(Fault("upload_data", status=500, times=1), Fault("upload_data", status=429, skip=1, times=1))
    with (
        pytest.MonkeyPatch.context() as environment,
        pytest.MonkeyPatch.context() as patch,
        listeners.metrics(environment) as sent,
        listeners.lineage(environment, folder / "events") as events,
    ):
        patch.setattr(in_doubt, "LASTS", timedelta())  # or the next task would wait for a minute
        run = runs.run(dag)
    host = running_emulator.url.partition("://")[2]
    batches = set(state.connections[connection].completed_batches)
    return Told(run.states, run.xcoms, run.events, sent, events, connection, service, table, host, batches)


def _dag(connection, service, table, folder) -> DAG:
    ones, profiles = [{"id": "1", "age": 3}], [{"customerId": "1", "age": 3}]
    flawed = folder / "flawed.jsonl"
    flawed.write_text(f'{{"id": "2", "name": "x"}}\n{{"id": "{SECRET_VALUE}"}}\n{{"id": "{SECRET_VALUE}"}}\n')
    keyless = folder / "keyless.jsonl"
    keyless.write_text('{"id": null, "age": 7}\n{"id": "2", "age": 8}\n')
    to = {"data_connection_uuid": connection, "primary_key": "id"}
    query = {"sql": "SELECT customer_id AS id, count(*) AS n FROM orders GROUP BY 1 ORDER BY 1 LIMIT 2"}
    aliases = [{"optimizely_user_id": "u", "aliases": [{"table_id": table, "customer_id": "1"}]}]
    own = optix_asset(connection.upper(), "HTTP://LOCALHOST:1/api")
    with DAG("all_kinds_of_loads") as dag:
        sends = [
            OptixUploadOperator(task_id="retried", source=ones, retries=1, sending={"give_up_after": 0}, **to),
            OptixUploadOperator(task_id="queried", sql_conn_id="warehouse_default", window=WINDOW, **query, **to),
            OptixUploadOperator(task_id="planned", source=ones, dry_run=True, **to),
            OptixUploadOperator(task_id="doubled", source=str(flawed), **to),
            OptixUploadOperator(task_id="keyless", source=str(keyless), outlets=[own], **to),
            OptixUploadOperator.partial(task_id="mapped", **to).expand(source=[ones, [{"id": "3"}, {"id": "4"}]]),
            OptixUpdateOperator(task_id="updated", source=ones, outlets=[own], **to),
            DcpS3ImportOperator(task_id="uploaded", table_id=table, source=profiles),
            DcpS3ImportOperator(task_id="imported", table_id=table, source=profiles, wait=True, poke_interval=1),
            DcpWriteProfilesOperator(task_id="written", table_id=table, profiles=profiles),
            DcpCreateAliasesOperator(task_id="aliases", service_id=service, aliases=aliases),
            DcpWriteProfilesOperator(task_id="no_table", table_id="none", profiles=profiles),
        ]
        for before, after in pairwise(sends):
            after.trigger_rule = "all_done"
            before >> after
    return dag
