"""A float from 2^53 on is no id and no whole number, and a nested value no cell, by whatever way a row comes."""

import io
import json
import math
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.records.arrow.mixed import NESTED
from optimove_provider.records.read.cursors import cursor_rows
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.records.read.parquet_files import parquet_rows
from optimove_provider.records.read.sources import list_batches
from optimove_provider.records.to_json.scalars import JsonText
from optimove_provider.records.to_json.update_items import ItemEncoder
from tests.support.rows.fates import cells, records

GREAT = 2.0**53
LONG, DOUBLE, STRING = (Attribute("v", datatype) for datatype in ("long", "double", "string"))
BESIDE = [[], [5], ["5"], [5, 2**53 + 1], [Decimal("1.5")], [None], [True, "x"], [1.5]]
"""What stands in the same column decides of which type that is."""


def fates(batches, *attributes, column="v"):
    return [one if isinstance(one, str) else one[column] for one in cells(batches, attributes)]


def listed(*values, **others):
    return list_batches([{"customerId": str(n), "v": value, **others} for n, value in enumerate(values)])


@pytest.mark.parametrize("beside", BESIDE, ids=repr)
@pytest.mark.parametrize("great", [GREAT, -1e16, np.float64(1e17), np.float32(2.0**60)], ids=repr)
def test_such_a_float_is_no_long_and_no_key_whatever_stands_beside_it(great, beside):
    *others, fate = fates(listed(*beside, great), LONG)
    assert fate.startswith("column 'v', value ")
    assert fate.endswith("this is a whole number or a key: give an integer or a text")
    assert others == fates(listed(*beside), LONG)
    keys = list_batches([{"customerId": value} for value in [*beside, great]])
    assert "may have lost digits" in fates(keys, column="customerId")[-1]


def test_an_epoch_is_a_whole_number_too():
    epoch = Attribute("v", "datetime", "epoch")
    found = fates(listed(1651676123.0, 1.651676123e18, "x"), epoch)
    assert (found[0], found[2]) == ("1651676123", "x")
    assert "may have lost digits" in found[1]
    assert fates(listed(Decimal("1651676123.00"), Decimal("0.5")), epoch) == ["1651676123", "0.50"]


@pytest.mark.parametrize("beside", BESIDE, ids=repr)
def test_it_is_a_double_and_below_2_53_all_is_well(beside):
    assert fates(listed(*beside, 1e16), DOUBLE)[-1] == "10000000000000000"
    whole = GREAT - 1
    assert fates(listed(*beside, whole), LONG)[-1] == fates(listed(*beside, np.float64(whole)), LONG)[-1]
    assert fates(listed(*beside, whole), LONG)[-1] == "9007199254740991"
    assert fates(listed(*beside, 2**53 + 1), LONG)[-1] == "9007199254740993"
    assert fates(listed(*beside, Decimal(2**53 + 1)), LONG)[-1].removesuffix(".0") == "9007199254740993"


def as_parquet(values):
    out = io.BytesIO()
    pq.write_table(pa.table({"customerId": [str(n) for n in range(len(values))], "v": values}), out)
    return parquet_rows(io.BytesIO(out.getvalue()), "rows.parquet")


def as_lines(values):
    lines = (json.dumps({"customerId": str(n), "v": value}) for n, value in enumerate(values))
    return json_rows(io.BytesIO("\n".join(lines).encode()), "rows.jsonl")


def as_cursor(values):
    connection = duckdb.connect()
    rows = ", ".join(f"('{n}', {value!r}::double)" for n, value in enumerate(values))
    return cursor_rows(connection.execute(f"select * from (values {rows}) as t(customerId, v)"))  # noqa: S608


@pytest.mark.parametrize("source", [as_parquet, as_lines, as_cursor])
def test_files_and_queries_are_no_way_around(source):
    found = fates(source([5.0, 1e16, GREAT - 1]), LONG)
    assert found[::2] == ["5", "9007199254740991"]
    assert "may have lost digits" in found[1]
    assert fates(source([5.0, 1e16]), DOUBLE) == ["5", "10000000000000000"]


@pytest.mark.parametrize("literal", ["1e16", "1E+16", "9007199254740993.0"])
@pytest.mark.parametrize("beside", ["5", '"x"', "12345678901234567890", "0.1234567890123456789"])
def test_a_number_of_json_with_a_point_or_an_exponent_is_a_float(literal, beside):
    text = f'{{"customerId":{beside},"v":{beside}}}\n{{"customerId":{literal},"v":{literal}}}'.encode()
    rows = list(json_rows(io.BytesIO(text), "rows.jsonl"))
    assert "may have lost digits" in fates(rows, LONG)[1]
    assert "e" not in fates([batch.select(["v"]) for batch in rows], DOUBLE)[1].lower()


def test_keys_of_opti_x_are_as_strict():
    """In JSON such a float has an exponent, and is not among the keys."""
    for beside in ([], ["a"], [2**70], [5.0]):
        *others, (column, reason) = records(list_batches([{"id": one} for one in [*beside, 1e16]]))
        assert (column, len(others)) == ("id", len(beside))
        assert "a key must be text or an integer, not a float" in reason


def test_keys_of_an_update_too():
    for beside in ([], ["a"], [2**70], [5.0]):
        (batch,) = list_batches([{"id": one, "v": 1} for one in [*beside, 1e16]])
        found = ItemEncoder(batch.schema, "id").encode(batch)
        assert (len(found.positions), [one.position for one in found.unfit]) == (len(beside), [len(beside)])
        assert "a key must be text or an integer, not a float" in found.unfit[0].reason


NESTED_VALUES = [[1], (1,), [], {}, {"x": 1e-07}, [1e16], [None], JsonText('{"x":1}'), JsonText(" [1]")]


@pytest.mark.parametrize("value", NESTED_VALUES, ids=repr)
@pytest.mark.parametrize("beside", [[], ["t"], [1.5], [{"y": 2}], [None]], ids=repr)
@pytest.mark.parametrize("attribute", [STRING, LONG, None])
def test_a_nested_value_is_refused_by_row_and_column(value, beside, attribute):
    found = fates(listed(*beside, value), *([attribute] if attribute else []))
    assert found[-1].startswith("column 'v', value ")
    assert found[-1].endswith(NESTED)
    assert found[0] == fates(listed(*beside, "t"), *([attribute] if attribute else []))[0] or not beside


@pytest.mark.parametrize("source", [as_lines, as_parquet])
def test_nested_values_of_files_too(source):
    found = cells(source([[1.5], [2.5]]), [STRING])
    assert all("has no form in CSV: cast it to text" in one for one in found)
    assert fates(as_lines(["t", {"x": 1e-07}, [1]]), STRING)[0] == "t"


def test_a_struct_of_duckdb_is_refused():
    rows = cursor_rows(
        duckdb.connect().execute("select '1' as customerId, {'x': 1e-7} as v union all select '2', null")
    )
    found = fates(rows, STRING)
    assert NESTED in found[0]
    assert found[1] == ""


def test_a_number_in_a_document_of_a_database_has_plain_digits():
    for beside in ([], ["t"], [JsonText('"t"')]):
        found = fates(listed(*beside, JsonText("1e-7"), JsonText("1e16"), JsonText("17")), DOUBLE)
        assert found[len(beside) :] == ["0.0000001", "10000000000000000", "17"]
        assert "may have lost digits" in fates(listed(*beside, JsonText("1e16")), LONG)[-1]


@pytest.mark.parametrize("beside", [[], ["t"], [None], [1]], ids=repr)
def test_numpys_floats_have_plain_digits_and_no_name_of_a_type(beside):
    values = [np.float64(1.5), np.float64(1e16), np.float32(1e-07), np.float16(0.5), np.float64(5.0), np.int64(7)]
    expected = ["1.5", "10000000000000000", "0.0000001", "0.5", "5", "7"]
    assert fates(listed(*beside, *values), DOUBLE)[len(beside) :] == expected
    assert [fates(listed(value), DOUBLE) for value in values] == [[one] for one in expected]
    assert "NaN and infinities" in fates(listed(*beside, np.float64(math.nan)), DOUBLE)[-1]
