"""Odd values on their way into a table, with a file of rows and over REST: the same are stored, the same refused."""

import csv
import io
import json
from pathlib import Path

import pytest

from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
)
from tests.support.running import run

ROWS = [
    {"customerId": "a", "orders": 5.0, "ltv": 1e16, "note": "x"},
    {"customerId": "b", "orders": "7", "ltv": 1e-07, "note": "y"},
    {"customerId": "c", "orders": 1e16, "ltv": 1, "note": "z"},
    {"customerId": 9007199254740993.0, "orders": 1, "ltv": 1, "note": "z"},
    {"customerId": "e", "orders": 1, "ltv": 1, "note": {"clicks": 1e-07}},
    {"customerId": "f", "orders": 1, "ltv": 1, "note": [1e16]},
    {"customerId": 6.0, "orders": 2**53 + 1, "ltv": 2.5, "note": 3.0},
]
STORED = {
    "a": {"orders": 5, "ltv": 1e16, "note": "x"},
    "b": {"orders": 7, "ltv": 1e-07, "note": "y"},
    "6": {"orders": 2**53 + 1, "ltv": 2.5, "note": "3"},
}
REFUSED = {
    3: ("orders", "2^53"),
    4: ("customerId", "2^53"),
    5: ("note", "no form in CSV"),
    6: ("note", "no form in CSV"),
}


@pytest.fixture
def table(emulator):
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    made = DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    attributes = {"orders": "long", "ltv": "double", "note": "string"}
    return run(DcpRegisterAttributesOperator(task_id="attributes", table_id=run(made), attributes=attributes))


def imported(table, source):
    importing = {"on_invalid": "split", "max_rejected": 4, "wait": True, "poke_interval": 0.01, "deferrable": False}
    return DcpS3ImportOperator(task_id="i", table_id=table, source=source, mode="changed", **importing)


def written(table, source):
    return DcpWriteProfilesOperator(task_id="p", table_id=table, source=source, max_rejected=4)


def written_as_a_list(table, source):
    return DcpWriteProfilesOperator(task_id="p", table_id=table, profiles=ROWS, max_rejected=4)


def text_at(url):
    return Path(url.removeprefix("file://")).read_text(encoding="utf-8")


def refused(url):
    """The reason for each row that is kept aside, by its number."""
    lines = text_at(url)
    if lines.startswith("{"):
        return {one["row"]: one["reason"] for one in map(json.loads, lines.splitlines())}
    return {int(one["refused_row"]): one["refused_because"] for one in csv.DictReader(io.StringIO(lines, newline=""))}


@pytest.mark.parametrize("way", [imported, written, written_as_a_list])
def test_the_same_is_stored_and_the_same_refused(emulator, table, tmp_path, way):
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    result = run(way(table, str(source)))
    assert (result["accepted"], result["rejected"]) == (3, 4)
    assert emulator.state.tables[table].profiles == STORED
    told = refused(json.loads(text_at(result["report"]))["rejected_file"])
    assert told.keys() == REFUSED.keys()
    for row, (column, reason) in REFUSED.items():
        assert column in told[row]
        assert reason in told[row]
