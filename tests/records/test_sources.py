"""Rows from files, cursors and lists: what is read, what is refused, and how little is held at a time."""

import datetime
import io
import sqlite3
from contextlib import closing
from decimal import Decimal

import pyarrow as pa
import pytest

from optimove_provider.contract.errors import DataError
from optimove_provider.records.sources import BATCH_ROWS, csv_batches, cursor_batches, list_batches


def read(batches):
    return [row for batch in batches for row in batch.to_pylist()]


def read_csv(data, name="rows.csv"):
    return read(csv_batches(io.BytesIO(data), name))


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"id,n\n00123,1.50\n", [{"id": "00123", "n": "1.50"}]),
        (b"id,n\r\n1,\r\n", [{"id": "1", "n": ""}]),
        (b"\xef\xbb\xbfid\n1\n", [{"id": "1"}]),
        (b'id,n\n1,"a,""b""\nc"\n', [{"id": "1", "n": 'a,"b"\nc'}]),
        (b"id\n1\n\n\n2", [{"id": "1"}, {"id": "2"}]),
        ("id\né😀\n".encode(), [{"id": "é😀"}]),
        (b"id,n\n", []),
        (b"id,n", []),
    ],
    ids=["text stays text", "crlf", "bom", "quotes", "blank lines", "utf-8", "header only", "no line end"],
)
def test_a_csv_file_is_read_as_text(data, rows):
    assert read_csv(data) == rows


@pytest.mark.parametrize("name", ["rows.tsv", "ROWS.TSV"])
def test_a_tsv_file_is_known_by_its_name(name):
    assert read_csv(b"id\tn\n1\ta,b\n", name) == [{"id": "1", "n": "a,b"}]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "'rows.csv' has no header row"),
        (b"\n1,2\n", "'rows.csv' has no header row"),
        (b"id,n,id\n", "'rows.csv': columns named twice: 'id'"),
        (b"id,n\n1,2\n3\n", r"row 2: 1 columns, but the header has 2: \['3'\]"),
        (b"id\n\n1,2\n", "row 1: 2 columns, but the header has 1"),
        (b'id\n1\n"2\n3\n', "line 4: unexpected end of data"),
        (b'id\n"1"x\n', "line 2: ',' expected after '\"'"),
        (b"id\n1\n\xff\n", "'rows.csv' is not UTF-8 after line"),
        ("id\n1\n".encode("utf-16"), "'rows.csv' is not UTF-8 after line 0"),
    ],
)
def test_a_csv_file_that_is_broken_is_refused_with_the_place(data, complaint):
    with pytest.raises(DataError, match=complaint):
        read_csv(data)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv.zip", "rows"])
def test_a_file_of_another_kind_is_refused(name):
    with pytest.raises(DataError, match=r"a \.csv or \.tsv file is expected"):
        read_csv(b"id\n1\n", name)


def test_a_ragged_row_is_found_in_any_batch():
    data = b"id\n" + b"1\n" * BATCH_ROWS + b"1,2\n"
    with pytest.raises(DataError, match=f"row {BATCH_ROWS + 1}: 2 columns"):
        read_csv(data)


def test_files_and_cursors_begin_with_an_empty_batch_that_names_the_columns(warehouse):
    for batches in (csv_batches(io.BytesIO(b"id,n\n"), "rows.csv"), query(warehouse, "SELECT id, n FROM t")):
        first = next(batches)
        assert (first.num_rows, first.schema.names) == (0, ["id", "n"])


def test_a_csv_file_is_not_read_ahead_of_what_is_asked_for():
    stream = io.BytesIO(b"id\n" + b"0123456789\n" * 100_000)
    batches = csv_batches(stream, "rows.csv")
    next(batches)
    assert next(batches).num_rows == BATCH_ROWS
    assert stream.tell() < 2 * BATCH_ROWS * 11


def test_the_stream_stays_open_and_may_be_closed_first():
    stream = io.BytesIO(b"id\n1\n2\n")
    read(csv_batches(stream, "rows.csv"))
    assert not stream.closed
    stream.seek(0)
    batches = csv_batches(stream, "rows.csv")
    next(batches)
    stream.close()
    batches.close()


def test_a_list_is_one_batch():
    rows = [{"id": 1, "name": "é", "tags": ["a"]}, {"id": 2, "name": None, "tags": []}]
    (batch,) = list_batches(rows)
    assert batch.to_pylist() == rows


def test_a_field_that_a_row_lacks_is_null_there():
    assert read(list_batches([{"id": 1, "a": 2}, {"b": 3, "id": 4}])) == [
        {"id": 1, "a": 2, "b": None},
        {"id": 4, "a": None, "b": 3},
    ]


def test_an_empty_list_has_no_batch():
    assert list(list_batches([])) == []


def test_a_list_of_5000_is_read_and_one_of_5001_refused():
    rows = [{"id": number} for number in range(5001)]
    assert len(read(list_batches(rows[:5000]))) == 5000
    with pytest.raises(DataError, match="5001 records in a list: at most 5000"):
        read(list_batches(rows))


@pytest.mark.parametrize("row", [None, "id", 1, ["id"]])
def test_a_row_that_is_no_mapping_is_named(row):
    with pytest.raises(DataError, match="row 2 is no mapping"):
        read(list_batches([{"id": 1}, row]))


NOON = datetime.datetime(2026, 1, 1, 12)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", 1),
        (1, "a"),
        (1, True),
        (True, 1),
        (1.5, True),
        (NOON.date(), NOON),
        (NOON, NOON.date()),
        (Decimal("1.5"), 1.5),
        ({"a": 1}, 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_column_of_two_types_names_the_row_that_differs(first, second):
    with pytest.raises(DataError, match=r"row 4, column 'x': .* cast the column to one type"):
        read(list_batches([{"x": first}, {"x": None}, {"x": first}, {"x": second}]))


@pytest.mark.parametrize("value", [2**63, "\ud800", object(), 1 + 2j], ids=["int", "surrogate", "object", "complex"])
def test_a_value_that_no_column_can_hold_names_its_row(value):
    with pytest.raises(DataError, match="row 3, column 'x'"):
        read(list_batches([{"x": None}, {"x": None}, {"x": value}]))


@pytest.mark.parametrize(
    "values",
    [[1, 2.5], [Decimal("1.5"), 1], [Decimal("1.50"), Decimal("-1e-9")], [-(2**63), 2**63 - 1], [None, "a"]],
)
def test_a_column_of_like_types_keeps_its_values(values):
    assert [row["x"] for row in read(list_batches([{"x": value} for value in values]))] == values


@pytest.fixture
def warehouse():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER, n)")
        yield connection


def query(connection, sql):
    return cursor_batches(connection.execute(sql))


def test_a_cursor_is_read(warehouse):
    warehouse.executemany("INSERT INTO t VALUES (?, ?)", [(1, 1.5), (2, None)])
    assert read(query(warehouse, "SELECT id, n FROM t")) == [{"id": 1, "n": 1.5}, {"id": 2, "n": None}]


def test_a_column_that_changes_its_type_on_the_way_names_the_row(warehouse):
    warehouse.executemany("INSERT INTO t VALUES (?, ?)", [(number, 7) for number in range(BATCH_ROWS + 2)])
    warehouse.execute("UPDATE t SET n = 'seven' WHERE id = ?", [BATCH_ROWS + 1])
    with pytest.raises(DataError, match=f"row {BATCH_ROWS + 2}, column 'n': 'seven' is a str, .* began with a int"):
        read(query(warehouse, "SELECT * FROM t"))


def test_a_query_that_names_a_column_twice_is_refused(warehouse):
    with pytest.raises(DataError, match="the query: columns named twice: 'id'"):
        read(query(warehouse, "SELECT id, id FROM t"))


def test_a_statement_without_rows_is_refused(warehouse):
    with pytest.raises(DataError, match="the sql returns no rows"):
        read(query(warehouse, "DELETE FROM t"))


COUNTING = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ?) SELECT x FROM c"


def test_a_cursor_is_fetched_a_batch_at_a_time(warehouse):
    cursor = warehouse.execute(COUNTING, [3 * BATCH_ROWS])
    batches = cursor_batches(cursor)
    assert [next(batches).num_rows, next(batches).num_rows] == [0, BATCH_ROWS]
    assert cursor.fetchone() == (BATCH_ROWS + 1,)


def test_nested_values_of_two_types_name_the_column():
    with pytest.raises(DataError, match="column 'x': Could not convert 'a' with type str"):
        read(list_batches([{"x": [1]}, {"x": ["a"]}]))


def test_batches_are_arrow(warehouse):
    assert isinstance(next(query(warehouse, "SELECT 1 AS one")), pa.RecordBatch)
