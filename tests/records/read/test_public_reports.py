"""What users of other tools have reported about values that were bent or that ended everything, tried on ours."""

import datetime
import io
import json
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.arrow_files import arrow_rows
from optimove_provider.records.read.csv_rows import csv_rows
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.records.read.parquet_files import parquet_rows
from optimove_provider.records.read.sources import list_batches
from tests.support.rows.fates import cells, parsed, records


def listed(*values):
    found = records(list_batches([{"id": 1, "v": value} for value in values]))
    return [parsed(fate).get("v") if isinstance(fate, str) else fate[1] for fate in found]


def lines(text):
    return records(json_rows(io.BytesIO(text.encode()), "rows.jsonl"))


def test_sparks_dates_beyond_2262_are_no_dates_of_the_19th_century():
    """Arrow and pandas: INT96 instants outside of 1677 to 2262 wrap silently, 9999-12-31 comes as 1816-03-29."""
    out = io.BytesIO()
    table = pa.table({"id": [1], "valid_to": pa.array([datetime.datetime(9999, 12, 31)], pa.timestamp("us"))})
    pq.write_table(table, out, use_deprecated_int96_timestamps=True)
    (record,) = records(parquet_rows(io.BytesIO(out.getvalue()), "rows.parquet"))
    assert record == '{"id":"1","valid_to":"9999-12-31T00:00:00Z"}'


def test_one_nan_does_not_end_all():
    """requests: `Out of range float values are not JSON compliant` for the whole body."""
    assert listed(1.5, math.nan, Decimal("NaN"), 2) == [
        Decimal("1.5"),
        *["NaN and infinities are no JSON numbers"] * 2,
        2,
    ]


def test_half_an_emoji_does_not_end_all():
    """Many: `UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud83d': surrogates not allowed`."""
    assert listed("a", "\ud83d", "😀") == ["a", "text that is not valid Unicode", "😀"]
    assert lines('{"id":1,"v":"\\ud83d"}\n{"id":2,"v":"\\ud83d\\ude00"}')[1] == '{"id":"2","v":"😀"}'


def test_numbers_of_numpy_are_numbers():
    """json: `TypeError: Object of type int64 is not JSON serializable`."""
    assert listed(np.int64(2**62 + 1), np.float32(0.1), 1) == [2**62 + 1, Decimal("0.1"), 1]


def test_a_column_of_texts_and_integers_is_both():
    """Arrow: `Could not convert 'x' with type str: tried to convert to int64`."""
    assert listed(1, "x", True) == [1, "x", True]


def test_an_integer_too_large_for_c_is_an_integer():
    """Arrow: `OverflowError: Python int too large to convert to C long`; pandas makes a float of it."""
    assert listed(2**63, 1, 2**64 + 1) == [2**63, 1, 2**64 + 1]
    assert [parsed(record)["v"] for record in lines(f'{{"id":1,"v":{2**53 + 1}}}\n{{"id":2,"v":0.5}}')] == [
        2**53 + 1,
        Decimal("0.5"),
    ]


def test_json_that_is_nested_deep_is_no_recursion_error():
    """Python: `RecursionError: maximum recursion depth exceeded while decoding a JSON array`, or a crash."""
    first, second = lines('{"id":1,"v":' + "[" * 200_000 + "}\n" + '{"id":2}')
    assert first == ("nested deeper than 100 lists and objects",)
    assert second == '{"id":"2"}'


def test_an_exponent_beyond_all_computing_is_no_invalid_operation():
    """decimal: `InvalidOperation` for 1e9999999999999999999, and for hours of computing where it is let through."""
    first, second = lines('{"id":1,"v":1e9999999999999999999}\n{"id":2,"v":1e999999999}')
    assert "beyond all computing" in first[0]
    assert second == '{"id":"2","v":1E+999999999}'


def test_a_stream_of_arrow_that_was_cut_is_not_whole():
    """Arrow: a stream that ends between two batches is read without an error."""
    out = io.BytesIO()
    batch = pa.record_batch({"id": [1]})
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
        end = out.tell()
        writer.write_batch(batch)
    for data in (out.getvalue()[:end], out.getvalue()[:-8]):
        with pytest.raises(DataError, match="has no end mark, so rows may be missing"):
            list(arrow_rows(io.BytesIO(data), "rows.arrow"))


def test_a_uuid_in_a_list_is_read_from_parquet():
    """Arrow: `ArrowNotImplementedError: extension` for lists of extension types."""
    out = io.BytesIO()
    column = pa.ListArray.from_arrays([0, 1], pa.array([b"0123456789abcdef"], pa.uuid()))
    pq.write_table(pa.table({"id": [1], "v": column}), out)
    (record,) = records(parquet_rows(io.BytesIO(out.getvalue()), "rows.parquet"))
    assert json.loads(record)["v"] == ["30313233-3435-3637-3839-616263646566"]


@settings(max_examples=100)
@given(st.binary(max_size=40) | st.text('a,"\r\n\0é', max_size=20).map(str.encode), st.integers(1, 40))
def test_any_bytes_are_rows_or_an_error_of_ours(data, block_bytes):
    for read in (
        lambda: csv_rows(io.BytesIO(data), "x.csv", block_bytes),
        lambda: json_rows(io.BytesIO(data), "x.jsonl"),
    ):
        try:
            for _ in read():
                pass
        except DataError as error:
            assert "source 'x." in str(error)  # noqa: PT017


def test_an_exporters_9007199254740992_0_is_nobodys_id():
    """datasets, and whatever makes a frame of integers with nulls: the id ...993 stands in JSON Lines as ...992.0."""
    text = '{"customerId":9007199254740992.0,"n":1}\n{"customerId":"a","n":9007199254740992.0}\n{"customerId":5.0}'
    found = cells(json_rows(io.BytesIO(text.encode()), "rows.jsonl"), [Attribute("n", "long")])
    assert [one.partition(",")[0] for one in found[:2]] == ["column 'customerId'", "column 'n'"]
    assert all("may have lost digits" in one for one in found[:2])
    assert found[2]["customerId"] == "5"


def test_integers_with_nulls_are_no_19_0():
    """Airflow's MySQL to S3, Superset, awswrangler: a frame has floats for integers with nulls, the file 19.0."""
    rows = [{"customerId": 19.0, "n": 3.0}, {"customerId": 20.0, "n": None}, {"customerId": 21, "n": 5}]
    found = cells(list_batches(rows), [Attribute("n", "long")])
    assert [(one["customerId"], one["n"]) for one in found] == [("19", "3"), ("20", ""), ("21", "5")]


def test_a_tweets_id_that_became_a_float_beside_texts_is_refused():
    """twint, twarc, snscrape: 791557233689870338 becomes 7.9155723368987E+17 in a column that has texts too."""
    rows = [{"customerId": "791557233689870338"}, {"customerId": float(791557233689870338)}, {"customerId": "nan"}]
    found = cells(list_batches(rows))
    assert found[0]["customerId"] == "791557233689870338"
    assert "value 791557233689870336.0" in found[1].replace("7.915572336898703e+17", "791557233689870336.0")
    assert "may have lost digits" in found[1]
