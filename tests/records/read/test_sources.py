"""Rows from files, cursors and lists: what is read, what is refused, and how little is held at a time."""

import datetime
import gzip
import io
import json
import sqlite3
import uuid
from contextlib import closing
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.sources import (
    BATCH_ROWS,
    Unread,
    csv_batches,
    cursor_batches,
    file_rows,
    list_batches,
)
from tests.support.rows.fates import records


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


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv.zip", "rows"])
def test_a_file_of_another_kind_is_refused(name):
    with pytest.raises(DataError, match=r"a \.csv or \.tsv file is expected"):
        read_csv(b"id\n1\n", name)


def test_a_ragged_row_is_found_in_any_batch():
    data = b"id\n" + b"1\n" * BATCH_ROWS + b"1,2\n"
    with pytest.raises(DataError, match=f"row {BATCH_ROWS + 1}: 2 columns, but the header has 1: '1,2'"):
        read_csv(data)


def test_files_and_cursors_begin_with_an_empty_batch_that_names_the_columns(warehouse):
    for batches in (csv_batches(io.BytesIO(b"id,n\n"), "rows.csv"), query(warehouse, "SELECT id, n FROM t")):
        first = next(batches)
        assert (first.num_rows, first.schema.names) == (0, ["id", "n"])


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
    assert batch.to_pylist() == [{**row, "tags": json.dumps(row["tags"])} for row in rows]
    assert batch.schema.field("tags").type == pa.json_()


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


NOON = datetime.datetime(2026, 1, 1, 12)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", 1),
        (1, True),
        (1.5, True),
        (Decimal("1.5"), 1.5),
        (NOON, "a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_column_of_several_types_keeps_its_values(first, second):
    values = [first, None, first, second]
    assert [row["x"] for row in read(list_batches([{"x": value} for value in values]))] == values


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5],
        [Decimal("1.5"), 1],
        [Decimal("1.50"), Decimal("-1e-9")],
        [-(2**63), 2**63 - 1],
        [2**64, 1],
        [2**60, 0.5],
        [None, "a"],
    ],
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


def test_a_column_that_changes_its_type_on_the_way_harms_no_row(warehouse):
    warehouse.executemany("INSERT INTO t VALUES (?, ?)", [(number, 7) for number in range(BATCH_ROWS + 2)])
    warehouse.execute("UPDATE t SET n = 'seven' WHERE id = ?", [BATCH_ROWS])
    found = records(query(warehouse, "SELECT * FROM t"))
    assert found[BATCH_ROWS - 1 :] == [
        *(f'{{"id":"{BATCH_ROWS - 1}","n":7}}', f'{{"id":"{BATCH_ROWS}","n":"seven"}}'),
        f'{{"id":"{BATCH_ROWS + 1}","n":7}}',
    ]


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


def test_nested_values_are_documents_and_gain_no_members():
    rows = [{"x": {"b": [1, None], "a": datetime.date(2022, 5, 2)}}, {"x": {}}, {"x": [uuid.UUID(int=1)]}, {"x": None}]
    assert [row["x"] for row in read(list_batches(rows))] == [
        '{"a":"2022-05-02","b":[1,null]}',
        "{}",
        '["00000000-0000-0000-0000-000000000001"]',
        None,
    ]


def test_batches_are_arrow(warehouse):
    assert isinstance(next(query(warehouse, "SELECT 1 AS one")), pa.RecordBatch)


def test_a_cursor_of_duckdb_is_read():
    with duckdb.connect() as connection:
        sql = "SELECT 1 AS i, 1.50::DECIMAL(9, 2) AS d, [1, 2] AS l, {'b': 1, 'a': 2} AS s, 2::HUGEINT << 70 AS h"
        (_, batch) = cursor_batches(connection.cursor().execute(sql))
    assert batch.to_pylist() == [{"i": 1, "d": Decimal("1.50"), "l": "[1,2]", "s": '{"a":2,"b":1}', "h": 2**71}]


def files(**contents):
    """Rows of files that are held in memory; a table is written in the format of its name."""
    packed = {}
    for number, (ending, content) in enumerate(contents.items()):
        out = io.BytesIO()
        name = f"{number}.{ending.partition('__')[0].replace('_', '.')}"
        if isinstance(content, pa.Table) and name.endswith("parquet"):
            pq.write_table(content, out, row_group_size=7000)
        elif isinstance(content, pa.Table):
            with (pa.ipc.new_stream if "stream" in ending else pa.ipc.new_file)(out, content.schema) as writer:
                writer.write_table(content)
        else:
            out.write(gzip.compress(content) if name.endswith("gz") else content)
        packed[name] = out.getvalue()
    return list(file_rows(list(packed), lambda name: closing(io.BytesIO(packed[name]))))


TABLE = pa.table({"id": pa.array(range(12_001), pa.int32()), "at": pa.array([NOON] * 12_001, pa.timestamp("ms"))})


@pytest.mark.parametrize("ending", ["parquet", "arrow", "arrow__stream"])
def test_typed_files_are_read_with_their_types(ending):
    first, *batches = files(**{ending: TABLE})
    assert (first.num_rows, first.schema) == (0, TABLE.schema)
    assert all(0 < batch.num_rows <= BATCH_ROWS for batch in batches)
    assert pa.Table.from_batches(batches) == TABLE


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_typed_file_that_is_none_is_said(ending):
    for content in (b"", b"id,n\n", b"ARROW1 PAR1" * 99):
        with pytest.raises(DataError, match=f"source '0.{ending}' is no (Parquet|Arrow) file, or it is damaged"):
            files(**{ending: content})


def test_files_are_read_one_after_the_other_in_the_order_of_the_first_ones_columns():
    told = files(csv=b"id,n\n1,2\n3\n", tsv=b"n\tid\n5\t4\n", csv_gz=b"id,n\n6,7\n")
    assert [
        one if isinstance(one, Unread) else one.to_pylist() for one in told if isinstance(one, Unread) or one.num_rows
    ] == [
        [{"id": "1", "n": "2"}],
        Unread("3", "1 columns, but the header has 2"),
        [{"id": "4", "n": "5"}],
        [{"id": "6", "n": "7"}],
    ]


def test_json_files_may_lack_members():
    told = files(jsonl=b'{"id":1,"n":2}', jsonl_gz=b'{"id":3}\n{"m":true,"id":4}')
    assert [row for batch in told for row in batch.to_pylist()] == [
        {"id": 1, "n": 2},
        {"id": 3, "n": None, "m": None},
        {"id": 4, "n": None, "m": True},
    ]
    told = files(jsonl=b'{"n":2}', jsonl__2=b'{"n":"x"}')
    assert [row for batch in told for row in batch.to_pylist()] == [{"n": 2}, {"n": "x"}]


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        ({"csv": b"a,b\n", "csv__2": b"a,c\n"}, "source '1.csv' lacks 'b' and has also 'c': the columns of '0.csv'"),
        ({"csv": b"a,b\n", "csv__2": b"a\n"}, "source '1.csv' lacks 'b': the columns of '0.csv' are expected"),
        ({"csv": b"a\n", "jsonl": b"{}"}, "source '1.jsonl' is json, but '0.csv' is csv: give files of one format"),
        ({"csv": b"a\n", "txt": b""}, "source '1.txt': .csv, .tsv, .jsonl, .parquet, .arrow are read"),
        ({"parquet_gz": b""}, "source '0.parquet.gz': .csv, .tsv"),
        (
            {"parquet": pa.table({"a": [1]}), "parquet__2": pa.table({"a": ["x"]})},
            "source '1.parquet', row 1, column 'a' is string, but it is int64 in '0.parquet': cast the column",
        ),
    ],
)
def test_files_that_do_not_go_together_are_refused(contents, complaint):
    with pytest.raises(DataError, match=complaint):
        files(**contents)


def test_a_column_of_nulls_in_one_file_goes_with_any_type():
    tables = [
        pa.table({"a": pa.nulls(1)}),
        pa.table({"a": ["x"]}),
        pa.table({"a": pa.array(["y"]).dictionary_encode()}),
    ]
    told = files(parquet=tables[0], parquet__2=tables[1], parquet__3=tables[2])
    assert [row["a"] for batch in told for row in batch.to_pylist()] == [None, "x", "y"]
