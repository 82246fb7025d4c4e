"""What others have reported of sources that are read in parts: each report here in our own words."""

import re
import sqlite3
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimove_provider.records.read.parquet_files import parquet_footer
from optimove_provider.records.read.parts import (
    bounds_between,
    check_bounds,
    extent_query,
    parts_of_files,
    parts_of_query,
    restricted,
)
from optimove_provider.records.read.sources import row_groups

QUERY = "SELECT id FROM customers"


def read(keys, column, bounds, kind="INTEGER"):
    """The keys that each part of a query has."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE TABLE customers ({column} {kind})")
        db.executemany("INSERT INTO customers VALUES (?)", [(key,) for key in keys])
        query = QUERY.replace("id", column)
        if bounds is None:
            low, high = db.execute(extent_query(query, column)).fetchone()
            bounds = bounds_between(low, high, 3, column)
        parts = parts_of_query(column, bounds)
        return [[row[0] for row in db.execute(restricted(query, part.where)).fetchall()] for part in parts]


def joined(parts):
    return [key for part in parts for key in part]


def test_a_column_without_any_value_makes_one_part():
    """Eventual-Inc/Daft#6462: where all values were null, the bounds could not be told, and nothing was read."""
    assert read([None, None, None], "id", None) == [[None, None, None]]


def test_the_value_at_which_two_ranges_meet_is_in_one_of_them_and_the_highest_in_the_last():
    """apache/seatunnel#2032: ranges left out the value at which each ended: as many rows as ranges were lost."""
    assert read(range(1, 11), "id", None) == [[1, 2, 3], [4, 5, 6], [7, 8, 9, 10]]


def test_rows_without_a_value_are_in_a_range():
    """apache/seatunnel#12005: no range asked for null, so that rows without a value were in none."""
    assert sorted(joined(read([3, None, 9, None], "id", None)), key=repr) == [3, 9, None, None]


def test_bounds_of_large_numbers_lose_no_row():
    """apache/flink-connector-jdbc#174: the width was a float, and the last row of large numbers was in no range."""
    keys = [2260418954055131340, 2260418954055131341, 3067819505646037095, 3875220057236942849, 3875220057236942850]
    assert joined(read(keys, "id", None)) == keys
    ends = [-(1 << 63), -1, 0, (1 << 63) - 1]
    assert joined(read(ends, "id", None)) == ends


def test_fewer_values_than_ranges_make_fewer_ranges():
    """apache/spark#13773, alibaba/DataX#1097: the same range several times, or ranges that nothing can be in."""
    for keys in ([7, 7, 7, 7], [7, 8], [1, 1, 1, 2]):
        parts = read(keys, "id", None)
        assert joined(parts) == keys
        assert len(parts) == len(set(keys))


def test_bounds_in_falling_order_lose_no_row():
    """apache/spark#13773: what was below the first bound, or above the last, was read twice, or not at all."""
    assert set(joined(read(range(8), "id", [5, 2]))) == set(range(8))


def test_a_text_between_two_bounds_is_in_one_range():
    """apache/beam#15848: there is no next text after another one, so an end that belongs to its range is in two, and
    what begins like it in none."""
    keys = ["a", "aa", "ab", "b", "ba", "", "Z"]
    parts = read(keys, "id", check_bounds(["aa", "b"]), "TEXT")
    assert sorted(joined(parts)) == sorted(keys)
    assert parts == [["a", "", "Z"], ["aa", "ab"], ["b", "ba"]]


def test_a_name_with_a_space_is_named_as_a_whole():
    """Middlecon/DBImport#9: the name of a column with a space was taken apart."""
    assert joined(read([1, 2, 3], '"customer id"', None)) == [1, 2, 3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1.5, 2.0, 3.0, None])
def test_what_is_neither_above_nor_below_any_number_is_in_one_range(value):
    """ClickHouse and BigQuery compare NaN as processors do: it is below nothing, and above nothing, and still a row."""
    parts = parts_of_query("x", [2, 3])
    wanted = [_holds(part.where, value) for part in parts]
    assert wanted.count(True) == 1


def _holds(condition, x):
    """A condition as those databases judge it: a comparison with null is null, and so is its contrary."""
    text = re.sub(r"x IS NULL", str(x is None), condition)
    if x is None:
        text = re.sub(r"NOT \(x >= \d+\)|x (>=|<) \d+", "None", text)
    for word in ("NOT", "OR", "AND"):
        text = text.replace(word, word.lower())
    return bool(eval(text, {"x": x}))  # noqa: S307 - a condition of ours


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_an_empty_row_group_between_others_is_passed_by(tmp_path, empty):
    """apache/parquet-java#1018, dask/fastparquet#134: an empty row group ended the reading, or failed it."""
    path = tmp_path / "customers.parquet"
    tables = [
        pa.table({"id": [f"{number}"] * (number != empty)}, pa.schema([("id", pa.string())])) for number in range(3)
    ]
    with pq.ParquetWriter(path, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    with path.open("rb") as file:
        footers = {str(path): parquet_footer(file, str(path))}
    parts = parts_of_files({str(path): path.stat().st_size}, footers, 3)
    found = []
    for part in parts:
        groups = range(*part.groups)
        batches = row_groups(str(path), lambda name: open(name, "rb"), groups, part.footer)  # noqa: SIM115
        found += [key for batch in batches for key in batch["id"].to_pylist()]
    assert found == [str(number) for number in range(3) if number != empty]
