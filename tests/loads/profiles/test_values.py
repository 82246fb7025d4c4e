"""A value written over REST is the one that a file would have imported, or it is refused for the same reason."""

import datetime
import io
import json
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.values import comparable, json_value
from optimove_provider.loads.profiles.profiles import ProfileEncoder, write_profiles
from optimove_provider.loads.profiles.rest_load import UnfitRecord, records_of
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.records.read.sources import list_batches
from tests.support.dcp.profiles import client, load, state, table
from tests.support.rows.fates import cells

__all__ = ["client", "load", "state", "table"]  # fixtures

ATTRIBUTES = [
    Attribute("long", "long"),
    Attribute("double", "double"),
    Attribute("string", "string"),
    Attribute("bool", "bool"),
    Attribute("epoch", "datetime", "epoch"),
    Attribute("day", "datetime", "yyyy-mm-dd"),
]
OF = {one.name: one for one in ATTRIBUTES}


def encoded(name, value):
    return ProfileEncoder.to(ATTRIBUTES).encode({"customerId": "1", name: value}, lambda _: None).get(name)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("long", 5.0, 5),
        ("long", -0.0, 0),
        ("long", 2.0**53 - 1, 2**53 - 1),
        ("long", np.float64(5), 5),
        ("long", np.float32(5), 5),
        ("long", np.int64(2**62 + 1), 2**62 + 1),
        ("long", Decimal("5.00"), 5),
        ("long", Decimal("1E+16"), 10**16),
        ("long", 2**62 + 1, 2**62 + 1),
        ("double", 1e16, 1e16),
        ("double", np.float64(1.5), 1.5),
        ("double", np.float32(0.1), 0.1),
        ("double", 5e-324, 5e-324),
        ("string", np.float64(1.5), "1.5"),
        ("string", np.float32(1e-07), "0.0000001"),
        ("string", 1e-07, "0.0000001"),
        ("string", 5.0, "5"),
        ("string", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("bool", np.bool_(True), True),
        ("epoch", np.float64(1651676123), 1651676123),
        ("epoch", np.datetime64("2022-05-04T14:55:23"), 1651676123),
        ("day", datetime.datetime(2022, 5, 4), "2022-05-04"),
    ],
)
def test_a_value_is_written_as_what_it_is(name, value, found):
    written = encoded(name, value)
    assert (written, type(written)) == (found, type(found))


@pytest.mark.parametrize("value", [2.0**53, 1e16, -1e17, np.float64(1e16), np.float32(1e16)])
def test_a_float_that_may_have_lost_digits_is_refused_by_row_and_name(client, state, table, load, value):
    client.ensure_attributes(table, ATTRIBUTES)
    encoder = ProfileEncoder.to(ATTRIBUTES)
    records = [{"customerId": "a", "long": 5.0}, {"customerId": "b", "long": value}]
    with pytest.raises(TooManyRejected, match=r"row 2: attribute 'long', value .* a float from 2\^53 on may have lost"):
        write_profiles(client, client.read_table(table), records, encoder, load)
    assert state.tables[table].profiles == {}


@pytest.mark.parametrize(
    ("id", "found"), [(5.0, "5"), (np.int64(7), "7"), (np.float64(8), "8"), (Decimal("9.0"), "9"), (2**70, str(2**70))]
)
def test_a_whole_number_is_an_id(client, state, table, load, id, found):
    write_profiles(client, client.read_table(table), [{"customerId": id}], ProfileEncoder.to([]), load)
    assert list(state.tables[table].profiles) == [found]


@pytest.mark.parametrize("id", [1e16, 1.5, True, np.float64(2.0**53), np.float32(0.5), Decimal("1.5"), b"a", [1]])
def test_another_number_is_none(client, table, load, id):
    with pytest.raises(TooManyRejected, match="row 1: customerId "):
        write_profiles(client, client.read_table(table), [{"customerId": id}], ProfileEncoder.to([]), load)


VALUES = (
    st.integers()
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.floats()
    | st.sampled_from([1e16, 5.0, 2.0**53, np.float64(1e16), np.float32(0.1), np.float32(1e16), np.int8(3), [1], {}])
    | st.decimals(places=2)
    | st.text(max_size=3)
    | st.datetimes().map(lambda one: one.replace(microsecond=0))
    | st.booleans()
    | st.lists(st.integers(), max_size=1)
)


def from_file(name, value):
    """What an import of the value would store; None if its row, or nothing, would be."""
    (row,) = cells(list_batches([{"customerId": "1", name: value}]), ATTRIBUTES)
    cell = "" if isinstance(row, str) else row[name]
    return json_value(OF[name], cell) if cell and OF[name].rule.judge(cell).value != "invalid" else None


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ATTRIBUTES), VALUES)
def test_a_file_and_rest_write_the_same(attribute, value):
    if isinstance(value, str) and "\0" in value:
        return  # CSV has no NUL, and JSON has
    try:
        written = encoded(attribute.name, value)
    except UnfitRecord:
        written = None
    stored = from_file(attribute.name, value)
    assert type(written) is type(stored)
    if isinstance(value, Decimal) and isinstance(stored, str):
        assert Decimal(written) == Decimal(stored)  # a column of decimals has a scale
        return
    assert comparable(attribute, written) == comparable(attribute, stored)


def test_what_a_source_gives_is_judged_as_its_own_values():
    """As Python values, floats of 32 bits had other digits, floats among texts were decimals, documents were texts."""
    batch = pa.record_batch({"customerId": ["1"], "double": pa.array([0.1], pa.float32())})
    (record,) = records_of([batch])
    assert encoded("double", record["double"]) == 0.1
    for beside in ("x", 5, 2**60 + 1):
        rows = [{"customerId": "1", "long": beside}, {"customerId": "2", "long": 1e16}]
        for batches in (list_batches(rows), lines(rows)):
            with pytest.raises(UnfitRecord, match="may have lost digits"):
                encoded("long", records_of(batches)[1]["long"])
    for beside in ("x", [1]):
        rows = [{"customerId": "1", "string": beside}, {"customerId": "2", "string": {"x": 1e-07}}]
        for batches in (list_batches(rows), lines(rows)):
            with pytest.raises(UnfitRecord, match="a list or an object has no form in CSV"):
                encoded("string", records_of(batches)[1]["string"])


def lines(rows):
    found = json_rows(io.BytesIO("\n".join(map(json.dumps, rows)).encode()), "rows.jsonl")
    return [batch for batch in found if batch.num_rows]
