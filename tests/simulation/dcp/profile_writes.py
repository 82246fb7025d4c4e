"""What the process of a profile write does, as its operator does it: each try is a load of its own."""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.loads.dcp.options import table_ledger
from optimove_provider.loads.profiles.profiles import ProfileEncoder, write_profiles
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.begun import tell_begun
from optimove_provider.loads.report.report import Report
from tests.simulation.dcp.tasks import TableTask

if TYPE_CHECKING:
    from tests.simulation.airflow import Try
    from tests.simulation.dcp.table import DcpTable


def write(table: "DcpTable", one: "Try", waited: float) -> Report:
    """Write what changed on a day. A list was there when the task began, `waited` seconds ago; a file is read now."""
    task, staging = one.task, table.world.staging(one.skew)
    assert isinstance(task, TableTask)
    client = DcpClient(table.settings, partial(table.vendor.send, sender=one), surroundings=staging.surroundings)
    target = client.settings.target("dcp", table.table_id)
    report = Report(one.load_id, target, task=f"task crm.{task.name} of run run", mode="profiles")
    tell_begun(staging, report)
    registered, attributes = client.read_table(table.table_id), client.list_attributes(table.table_id)
    ledger = table_ledger(staging, report)
    now = ledger.now if ledger else staging.surroundings.now()
    was_there = waited > 0 and not task.is_file
    table.world.step("open the source")
    records = [
        {"customerId": key, **{name: _value(name, cell) for name, cell in cells.items()}}
        for key, cells in table.rows(task).items()
    ]
    taken = staging.surroundings.now() - timedelta(seconds=waited) if was_there else None
    load = RestLoad(staging, report, 99, taken, task.generation, now)
    write_profiles(client, registered, records, ProfileEncoder.to(attributes), load)
    return report


def _value(name: str, cell: str) -> str | int:
    return int(cell) if name == "number" and cell.isdecimal() else cell
