"""Rows as they travel: what is written reads back the same, and what cannot travel names its place."""

import datetime
import json
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.errors import DataError
from optimove_provider.records.payload import csv_value, json_records, json_value, key_value
from optimove_provider.records.sources import list_batches

UTC, CEST = datetime.UTC, datetime.timezone(datetime.timedelta(hours=2))
DAY = datetime.date(2022, 5, 2)
INSTANT = datetime.datetime(2022, 5, 2, 10, 10, 59)


@pytest.mark.parametrize(
    ("value", "as_json", "as_csv"),
    [
        (None, "null", ""),
        (True, "true", "true"),
        (False, "false", "false"),
        (-7, "-7", "-7"),
        (2**63 - 1, "9223372036854775807", "9223372036854775807"),
        (0.1, "0.1", "0.1"),
        (1e300, "1e+300", "1e+300"),
        (-0.0, "-0.0", "-0.0"),
        (Decimal("1.50"), "1.50", "1.50"),
        (Decimal("1E+3"), "1000", "1000"),
        (Decimal("1E-9"), "0.000000001", "0.000000001"),
        ("", '""', ""),
        ('é "q"\n', '"é \\"q\\"\\n"', 'é "q"\n'),
        ("007", '"007"', "007"),
        (DAY, '"2022-05-02"', "2022-05-02"),
        (INSTANT, '"2022-05-02T10:10:59Z"', "2022-05-02T10:10:59Z"),
        (INSTANT.replace(tzinfo=UTC), '"2022-05-02T10:10:59Z"', "2022-05-02T10:10:59Z"),
        (INSTANT.replace(tzinfo=CEST), '"2022-05-02T08:10:59Z"', "2022-05-02T08:10:59Z"),
        (INSTANT.replace(microsecond=5), '"2022-05-02T10:10:59.000005Z"', "2022-05-02T10:10:59.000005Z"),
    ],
)
def test_the_two_forms_of_a_value(value, as_json, as_csv):
    assert (json_value(value), csv_value(value)) == (as_json, as_csv)


def test_nested_values_are_nested_json():
    assert json_value({"a": [1, None, {"b": True}], "é": DAY}) == '{"a":[1,null,{"b":true}],"é":"2022-05-02"}'


@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}])
def test_a_csv_cell_holds_nothing_nested(value):
    with pytest.raises(ValueError, match="has no form in JSON or CSV"):
        csv_value(value)


@pytest.mark.parametrize("value", [b"x", datetime.time(1), datetime.timedelta(1)])
@pytest.mark.parametrize("render", [json_value, csv_value])
def test_a_value_without_a_form_is_refused(render, value):
    with pytest.raises(ValueError, match="cast it to text in the query"):
        render(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_name_row_and_column(value):
    rows = list_batches([{"id": 1, "n": 1.0}, {"id": 2, "n": value}])
    with pytest.raises(DataError, match=r"row 2, column 'n', value -?(nan|inf): NaN and infinities"):
        list(json_records(rows, "id"))


def test_a_refused_value_is_cut_in_the_error():
    with pytest.raises(DataError) as caught:
        list(json_records(list_batches([{"id": 1, "n": b"x" * 9999}]), "id"))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("value", "key_type", "text"),
    [
        (1, "string", '"1"'),
        ("1", "string", '"1"'),
        ("001", "string", '"001"'),
        ("é\n", "string", '"é\\n"'),
        (" ", "string", '" "'),
        (1, "integer", "1"),
        ("1", "integer", "1"),
        ("001", "integer", "1"),
        (-1, "integer", "-1"),
        ("-1", "integer", "-1"),
    ],
)
def test_a_key_travels_in_one_type(value, key_type, text):
    assert key_value(value, key_type) == text


@pytest.mark.parametrize(
    ("value", "key_type", "complaint"),
    [
        (None, "string", "a key is missing"),
        ("", "string", "a key is missing"),
        (None, "integer", "a key is missing"),
        (True, "string", "not a bool"),
        (1.0, "string", "not a float"),
        (Decimal(1), "integer", "not a Decimal"),
        (DAY, "string", "not a date"),
        ("a", "integer", "key_type is integer"),
        ("1.0", "integer", "key_type is integer"),
        ("+1", "integer", "key_type is integer"),
        ("--1", "integer", "key_type is integer"),
        (" 1", "integer", "key_type is integer"),
        ("\u0661", "integer", "key_type is integer"),
        ("\u00b2", "integer", "key_type is integer"),
    ],
)
def test_another_key_names_its_row(value, key_type, complaint):
    with pytest.raises(DataError, match=f"row 1, column 'id', value .*: .*{complaint}"):
        list(json_records(list_batches([{"id": value, "n": 1}]), "id", key_type))


def test_a_missing_key_column_names_those_that_are_there():
    with pytest.raises(DataError, match="the key column 'ID' is missing; the source has id, n"):
        list(json_records([pa.record_batch({"id": [], "n": []})], "ID"))


def test_null_fields_are_left_out_and_rows_are_numbered_across_batches():
    batches = [*list_batches([{"id": 1, "n": None}, {"id": 2, "n": 0}]), *list_batches([{"id": 3, "n": ""}])]
    assert list(json_records(batches, "id")) == [
        (1, '"1"', '{"id":"1"}'),
        (2, '"2"', '{"id":"2","n":0}'),
        (3, '"3"', '{"id":"3","n":""}'),
    ]


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
columns = st.one_of(
    st.lists(st.none() | kind, min_size=1, max_size=4)
    for kind in (
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.decimals(-(10**20), 10**20, places=6),
        text,
        st.lists(st.integers(0, 9), max_size=3),
    )
)


@settings(max_examples=100, deadline=None)
@given(name=text.filter(lambda name: name != "id"), values=columns)
def test_json_records_read_back_as_the_same_values(name, values):
    batch = pa.RecordBatch.from_pydict({"id": list(range(len(values))), name: values})
    records = [json.loads(record, parse_float=Decimal) for _, _, record in json_records([batch], "id", "integer")]
    exact = [Decimal(repr(value)) if isinstance(value, float) else value for value in values]
    read = [record.get(name) for record in records]
    assert [record["id"] for record in records] == list(range(len(values)))
    assert list(zip(read, map(type, read), strict=True)) == list(zip(exact, map(type, exact), strict=True))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_a_decimal_keeps_every_digit(value):
    assert json.loads(json_value(value), parse_float=Decimal, parse_int=Decimal) == value


def test_records_are_made_as_they_are_asked_for():
    def batches():
        yield from list_batches([{"id": 1}, {"id": 2}])
        raise AssertionError("read ahead")

    records = json_records(batches(), "id")
    assert [next(records)[0], next(records)[0]] == [1, 2]
