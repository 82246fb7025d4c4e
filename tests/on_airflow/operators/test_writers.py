"""Every operator there is: which of them write values into a target, and that each of those tells its ledger."""

import importlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred

from optimove_provider import get_provider_info, options
from optimove_provider.emulator.model.switches import Switches
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
from optimove_provider.operators.dcp_subject_access import DcpSubjectAccessOperator
from optimove_provider.operators.optix import (
    OptixCreateConnectionOperator,
    OptixExpireOperator,
    OptixUpdateOperator,
    OptixUploadOperator,
)
from optimove_provider.tasks.staging import staging
from tests.support.running import context, run

pytestmark = pytest.mark.any_version

NO_GUARDS = options.Guards(max_changed_share=None)
TELLING = {
    OptixUploadOperator,
    OptixUpdateOperator,
    OptixExpireOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
}
"""The operators that write values of customers into a target."""


@dataclass
class Places:
    """What there is to be written to."""

    service: int
    table: int
    connection: str
    project: int


@pytest.fixture
def places(emulator) -> Places:
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    table = run(
        DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    )
    attributes = {"age": "long", "note": "string", "vip": "bool"}
    run(DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes=attributes))
    connection = run(OptixCreateConnectionOperator(task_id="c", name="c", primary_key="id"))
    return Places(service, table, connection, next(iter(emulator.state.projects)))


PROFILE = [{"customerId": "1", "age": 30}]
CALLS = {
    OptixUploadOperator: lambda at: {"data_connection_uuid": at.connection, "primary_key": "id", "source": [{"id": 1}]},
    OptixUpdateOperator: lambda at: {"data_connection_uuid": at.connection, "primary_key": "id", "source": [{"id": 1}]},
    OptixExpireOperator: lambda at: {"data_connection_uuid": at.connection, "primary_key": "id", "keys": ["1"]},
    DcpSubjectAccessOperator: lambda at: {"customer_ids": ["1"]},
    DcpS3ImportOperator: lambda at: {"table_id": at.table, "source": PROFILE},
    DcpWriteProfilesOperator: lambda at: {"table_id": at.table, "profiles": PROFILE},
    DcpCreateAliasesOperator: lambda at: {
        "service_id": at.service,
        "aliases": [{"optimizely_user_id": "o", "aliases": [{"table_id": at.table, "customer_id": "1"}]}],
    },
    OptixCreateConnectionOperator: lambda at: {"name": "other", "primary_key": "id"},
    DcpCreateServiceOperator: lambda at: {"name": "Shop"},
    DcpCreateTableOperator: lambda at: {"service_id": at.service, "name": "More", "keyfield_locator_type": "uid"},
    DcpRegisterAttributesOperator: lambda at: {"table_id": at.table, "attributes": {"more": "long"}},
    DcpLinkProjectOperator: lambda at: {"project_id": at.project, "service_id": at.service},
    DcpArchiveAttributesOperator: lambda at: {"table_id": at.table, "names": ["age"]},
    ValidateCsvOperator: lambda at: {"source": "rows.csv", "attributes": [{"name": "age", "datatype": "long"}]},
}
"""How each operator is called so that it does what it is there for."""


def every_operator():
    modules = [name for entry in get_provider_info()["operators"] for name in entry["python-modules"]]
    for module in map(importlib.import_module, modules):
        for name, found in inspect.getmembers(module, inspect.isclass):
            own = found.__module__ == module.__name__ and not name.startswith("_")
            if own and issubclass(found, BaseOperator):
                yield found


def test_of_every_operator_it_is_known_whether_it_writes_values():
    """Those of a load in shards do together what one of the others does: test_sharded.py."""
    parts = {one for one in every_operator() if one.__module__.endswith(("sharded", "source_parts"))}
    assert set(every_operator()) - parts == set(CALLS)


def values(state):
    """All values of customers that the emulated targets hold, or will import."""
    profiles = {number: json.dumps(table.profiles) for number, table in state.tables.items() if table.profiles}
    records = {one: len(found.records) for one, found in state.connections.items() if found.records}
    return profiles, records, [one.key for one in state.objects.list()]


def ledgers():
    """What the ledgers of all targets say."""
    root = Path(staging().path("ledgers"))
    found = {path: json.loads(path.read_text()) for path in root.glob("*/manifest.json")}
    return {path: (manifest["version"], manifest["holder"]) for path, manifest in found.items()}


@pytest.mark.parametrize("operator", CALLS, ids=lambda operator: operator.__name__)
def test_who_writes_values_tells_the_ledger_and_nobody_else_does(emulator, places, operator, tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text("customerId,age\n1,30\n")
    monkeypatch.chdir(tmp_path)
    before, told = values(emulator.state), ledgers()
    run(operator(task_id="it", **CALLS[operator](places)))
    assert (values(emulator.state) != before) is (operator in TELLING)
    assert (ledgers() != told) is (operator in TELLING)


def importing(table, rows, **kwargs):
    wanted = {
        "mode": "changed",
        "wait": True,
        "poke_interval": 0.01,
        "deferrable": False,
        "guards": NO_GUARDS,
        **kwargs,
    }
    return DcpS3ImportOperator(task_id="import", table_id=table, source=rows, **wanted)


def writing(table, profiles, **kwargs):
    return DcpWriteProfilesOperator(task_id="write", table_id=table, profiles=profiles, **kwargs)


def test_what_was_written_as_a_profile_is_imported_over_again(emulator, places):
    rows = [{"customerId": "1", "age": 31, "note": "x"}, {"customerId": "2", "age": 32, "note": "y"}]
    run(importing(places.table, rows))
    run(writing(places.table, [{"customerId": "1", "age": 99}]))
    result = run(importing(places.table, rows))
    assert (result["accepted"], result["unchanged"]) == (1, 1)
    assert emulator.state.tables[places.table].profiles["1"]["age"] == 31


def test_a_profile_waits_deferred_while_an_import_into_its_table_is_waited_for(emulator, places):
    emulator.state.switches = Switches(import_after_polls=5)
    waiting = importing(places.table, [{"customerId": "1", "age": 31}], deferrable=True)
    with pytest.raises(TaskDeferred):
        waiting.execute(context(waiting))
    write = writing(places.table, [{"customerId": "1", "age": 99}])
    with pytest.raises(TaskDeferred) as deferred:
        run(write)
    assert deferred.value.method_name == "resume"
    with pytest.raises(TaskDeferred):
        write.resume(context(write), None, **deferred.value.kwargs)
    assert "99" not in json.dumps(emulator.state.tables[places.table].profiles)


def test_a_profile_of_an_older_window_does_not_replace_what_a_newer_import_brought(emulator, places):
    day = [{"start": f"2026-05-0{number}", "end": f"2026-05-0{number + 1}"} for number in (1, 2)]
    run(importing(places.table, [{"customerId": "1", "age": 31}], window=day[1], source_is="delta"))
    result = run(writing(places.table, [{"customerId": str(one), "age": 99} for one in (1, 2)], window=day[0]))
    assert (result["state"], result["accepted"], result["stale"]) == ("committed", 1, 1)
    held = emulator.state.tables[places.table].profiles
    assert {key: profile["age"] for key, profile in held.items()} == {"1": 31, "2": 99}
    report = json.loads(Path(urlsplit(result["report"]).path).read_text())
    assert report["stale"] == 1


def test_aliases_go_through_while_an_import_is_waited_for(emulator, places):
    emulator.state.switches = Switches(import_after_polls=5)
    waiting = importing(places.table, [{"customerId": "1", "age": 31}], deferrable=True)
    with pytest.raises(TaskDeferred):
        waiting.execute(context(waiting))
    told = ledgers()
    run(DcpCreateAliasesOperator(task_id="a", **CALLS[DcpCreateAliasesOperator](places)))
    assert ledgers() == told
