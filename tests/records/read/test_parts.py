"""A source in parts: together they have its rows, each once, whatever lies where."""

import sqlite3
from contextlib import closing

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.records.read.parquet_files import parquet_footer
from optimove_provider.records.read.parts import (
    Part,
    bounds_between,
    check_bounds,
    extent_query,
    parts_of_files,
    parts_of_query,
    restricted,
    shares,
)
from optimove_provider.records.read.sources import row_groups

QUERY = "SELECT id, name FROM customers -- those of today\n;"


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=300), st.integers(1, 40))
def test_neighbours_are_shared_out_each_once_and_no_share_is_empty(sizes, count):
    found = shares(sizes, count)
    assert [place for share in found for place in share] == list(range(len(sizes)))
    assert len(found) == min(count, len(sizes))
    assert all(found)


def test_shares_are_of_about_one_size():
    assert [len(share) for share in shares([1] * 1000, 4)] == [250] * 4
    assert shares([100, 1, 1, 1, 100], 3) == [range(1), range(1, 4), range(4, 5)]


def test_files_are_shared_out_as_neighbours():
    sizes = {f"{number}.csv": 10 for number in range(5)}
    assert [one.files for one in parts_of_files(sizes, {}, 2)] == [("0.csv", "1.csv", "2.csv"), ("3.csv", "4.csv")]
    assert [one.files for one in parts_of_files(sizes, {}, 9)] == [(name,) for name in sizes]


@pytest.mark.parametrize(("groups", "count"), [((6,), 4), ((6, 1), 4), ((1, 1), 8), ((40, 2, 3), 16), ((0,), 3)])
def test_few_parquet_files_are_taken_apart_by_their_row_groups(tmp_path, groups, count):
    footers, sizes, there = {}, {}, []
    for number, many in enumerate(groups):
        path = tmp_path / f"{number}.parquet"
        rows = pa.table({"id": [f"{number}-{row}" for row in range(many * 5)]}, pa.schema([("id", pa.string())]))
        pq.write_table(rows, path, row_group_size=5)
        with path.open("rb") as file:
            footers[str(path)] = parquet_footer(file, str(path))
        sizes[str(path)] = path.stat().st_size
        there += rows["id"].to_pylist()
    parts = parts_of_files(sizes, footers, count)
    assert len(parts) <= max(count, len(groups))
    assert len(parts) >= min(count, max(sum(groups), 1)) // 2

    found = []
    for part in (Part.from_json(one.as_json()) for one in parts):
        if part.groups:
            read = row_groups(part.files[0], lambda name: open(name, "rb"), range(*part.groups), part.footer)  # noqa: SIM115
            found += [key for batch in read for key in batch["id"].to_pylist()]
    assert found == there


def test_row_groups_of_a_file_that_was_written_anew_are_refused(tmp_path):
    path = tmp_path / "customers.parquet"
    pq.write_table(pa.table({"id": ["a", "b"]}), path, row_group_size=1)
    with path.open("rb") as file:
        footer = parquet_footer(file, str(path))
    pq.write_table(pa.table({"id": ["b", "a"]}), path, row_group_size=1)
    with pytest.raises(DataError, match=r"written anew since its row groups were listed.*Clear the whole group"):
        list(row_groups(str(path), lambda name: open(name, "rb"), range(1), footer.digest))  # noqa: SIM115


KEYS = [None, None, -5, 0, 1, 2, 3, 7, 7, 8, 40, 41, 99, 1 << 62, "text", "3", ""]


@pytest.fixture(scope="module")
def customers():
    with closing(sqlite3.connect(":memory:")) as found:
        found.execute("CREATE TABLE customers (id, name)")
        found.executemany("INSERT INTO customers VALUES (?, ?)", [(key, str(key)) for key in KEYS])
        yield found


@given(bounds=st.lists(st.integers(-10, 110), max_size=8, unique=True))
def test_each_row_is_in_a_part_of_a_query_whatever_the_bounds_and_in_one_where_they_rise(customers, bounds):
    def rows(bounds):
        parts = [customers.execute(restricted(QUERY, one.where)).fetchall() for one in parts_of_query("id", bounds)]
        return [row for part in parts for row in part]

    every = customers.execute("SELECT id, name FROM customers").fetchall()
    assert set(rows(bounds)) == set(every)
    assert sorted(map(repr, rows(sorted(bounds)))) == sorted(map(repr, every))


def test_texts_are_bounds_too_and_a_quote_in_them_ends_nothing():
    names = ["Ada", "O'Brien", "O", "Zoë", None, "_"]
    table = pa.table({"name": names})
    with duckdb.connect() as db:
        db.register("people", table)
        parts = parts_of_query('"name"', check_bounds(["D", "O'A", "P"]))
        found = [db.execute(restricted("SELECT * FROM people", one.where)).fetchall() for one in parts]
    assert [sorted(str(row[0]) for row in part) for part in found] == [
        ["Ada", "None"],
        ["O"],
        ["O'Brien"],
        ["Zoë", "_"],
    ]


@pytest.mark.parametrize("bounds", [["a\\"], ["50%"], ["a\nb"], [1.5], [True], [1, 1], [1, "2"], [None]])
def test_what_some_database_takes_for_something_else_is_no_bound(bounds):
    with pytest.raises(SettingsError, match="shard_bounds"):
        check_bounds(bounds)


@pytest.mark.parametrize("column", ["id; DROP TABLE customers", "id)", "a b", "", 'a"b', "1st", "t.id"])
def test_what_is_no_name_of_a_column_is_refused(column):
    with pytest.raises(SettingsError, match="expected the name of a column"):
        extent_query(QUERY, column)


@pytest.mark.parametrize("column", ["id", "_id9", '"a b"', "`a b`", "[a b]"])
def test_a_column_is_named_as_the_database_wants(column):
    assert f"MIN({column})" in extent_query(QUERY, column)


def test_ranges_are_about_as_wide_and_reach_beyond_both_ends():
    assert bounds_between(1, 100, 4, "id") == [26, 51, 76]
    assert bounds_between(7, 7, 4, "id") == []
    assert bounds_between(1, 2, 8, "id") == [2]
    assert bounds_between(None, None, 4, "id") == []
    assert bounds_between(-(10**20), 10**20, 2, "id") == [0]


@pytest.mark.parametrize("low", ["a", 1.5, True, b"1"])
def test_values_that_are_no_whole_numbers_need_bounds(low):
    with pytest.raises(SettingsError, match=r"shard_by='id'.*give shard_bounds="):
        bounds_between(low, low, 4, "id")


def test_the_extent_of_a_query_is_asked_of_its_database(customers):
    whole = "SELECT id FROM customers WHERE typeof(id) = 'integer';"
    assert customers.execute(extent_query(whole, "id")).fetchone() == (-5, 1 << 62)
