"""Sources as Airflow opens them: globs on storages, and queries on a real PostgreSQL that keeps the result set."""

import json
import os
from contextlib import closing
from decimal import Decimal

import psycopg2
import pyarrow as pa
import pytest
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import ObjectStoragePath

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.emulator import AWS_ACCESS_KEY, AWS_SECRET_KEY
from optimove_provider.records.read.cursors import opened_cursor
from optimove_provider.records.read.sources import BATCH_ROWS, cursor_batches
from optimove_provider.records.to_json.encode import Encoder
from optimove_provider.tasks.sources import open_file, open_rows, source_names


@pytest.fixture(scope="module")
def postgres(postgres_server):
    """What connects to a PostgreSQL server, which is the connection `pg` of Airflow too."""
    fields = postgres_server.airflow_connection("postgres")
    os.environ["AIRFLOW_CONN_PG"] = json.dumps({**fields, "extra": {"cursor": "dictcursor"}})
    yield postgres_server.dsn("postgres")
    del os.environ["AIRFLOW_CONN_PG"]


TYPES = """
SELECT 'k' || g AS id, g AS n, g::numeric / 4 AS d, 0.1::float8 AS f, true AS b, date '2022-05-02' AS day,
    timestamptz '2022-05-02 10:10:59.5+02' AS at, timestamp '2022-05-02 10:10:59' AS local,
    '{"b": 1.10, "a": 12345678901234567890, "c": "2022-05-02"}'::jsonb AS doc, ARRAY['x', NULL] AS tags,
    '00000000-0000-0000-0000-000000000001'::uuid AS u, NULL AS nothing
FROM generate_series(1, %s) AS g
"""
RECORD = (
    '{"at":"2022-05-02T08:10:59.5Z","b":true,"d":0.25,"day":"2022-05-02",'
    '"doc":{"a": 12345678901234567890, "b": 1.10, "c": "2022-05-02"},"f":0.1,"id":"k1",'
    '"local":"2022-05-02T10:10:59Z","n":1,"tags":["x",null],"u":"00000000-0000-0000-0000-000000000001"}'
)


def test_a_query_is_read_through_airflows_connection(postgres):
    with open_rows(None, TYPES + ";", "pg", [1]) as rows:
        first, batch = rows
    assert (first.num_rows, first.schema.names) == (0, batch.schema.names)
    assert batch.column("d").to_pylist() == [Decimal("0.25")]
    assert Encoder(batch.schema, "id").encode(batch).records.to_pylist() == [RECORD]


def test_a_query_without_rows_tells_its_columns(postgres):
    with open_rows(None, "WITH t AS (SELECT 1 AS id) SELECT id FROM t WHERE id > 1", "pg") as rows:
        assert [(batch.num_rows, batch.schema.names) for batch in rows] == [(0, ["id"])]


def test_no_transaction_waits_for_whoever_takes_the_rows(postgres):
    """A server with idle_in_transaction_session_timeout ended it while an upload took its time."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    with open_rows(None, TYPES, "pg", [2 * BATCH_ROWS]) as rows:
        assert [next(rows).num_rows, next(rows).num_rows] == [0, BATCH_ROWS]
        with closing(psycopg2.connect(postgres)) as connection, connection.cursor() as cursor:
            cursor.execute(waiting)
            assert cursor.fetchone() == (0,)
        assert [batch.num_rows for batch in rows] == [BATCH_ROWS]


@pytest.mark.parametrize("sql", ["SELECT 1 / 0 AS id", "SELECT 'a'::int AS id", "SELECT 'nowhen'::date AS id"])
def test_what_the_server_refuses_about_the_data_is_not_tried_again(postgres, sql):
    with pytest.raises(DataError, match="refused a value"), open_rows(None, sql, "pg") as rows:
        list(rows)


def test_a_missing_table_may_be_there_next_time(postgres):
    with pytest.raises(Exception, match="does not exist") as raised, open_rows(None, "SELECT * FROM t", "pg") as rows:
        list(rows)
    assert not isinstance(raised.value, DataError)


def connections(uri):
    psycopg = pytest.importorskip("psycopg")
    return {
        "airflow": PostgresHook("pg").get_conn,
        "psycopg2": lambda: psycopg2.connect(uri),
        "psycopg": lambda: psycopg.connect(uri),
    }


@pytest.mark.parametrize("driver", ["airflow", "psycopg2", "psycopg"])
def test_the_server_keeps_the_result_set(postgres, driver):
    connection = connections(postgres)[driver]()
    try:
        with opened_cursor(connection) as cursor:
            cursor.execute(TYPES, [100_000])
            rows = cursor_batches(cursor)
            assert [next(rows).num_rows, next(rows).num_rows] == [0, BATCH_ROWS]
            with connection.cursor() as other:
                other.execute("SELECT count(*) AS n FROM pg_cursors WHERE name LIKE 'optimove_%'")
                (counted,) = [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in other.fetchall()]
                assert counted == (1,)
                other.execute(f"FETCH 1 FROM {cursor.name}")
                row = other.fetchone()
                assert (row["id"] if isinstance(row, dict) else row[0]) == f"k{BATCH_ROWS + 1}"
            assert Encoder((batch := next(rows)).schema, "id").encode(batch).records[0].as_py().startswith('{"at":')
    finally:
        connection.close()


def test_files_are_named_by_a_glob_or_a_list(tmp_path):
    for name in ("b.csv", "a.csv", "c.txt", "d[1].csv"):
        (tmp_path / name).write_text(f"id\n{name}\n")
    (tmp_path / "e.csv").mkdir()
    paths = {name: str(tmp_path / name) for name in ("a.csv", "b.csv", "d[1].csv")}
    assert source_names(str(tmp_path / "*.csv")) == list(paths.values())
    assert source_names([paths["d[1].csv"], str(tmp_path / "[ab].csv")]) == [
        paths[n] for n in ("d[1].csv", "a.csv", "b.csv")
    ]
    assert source_names([{"id": 1}]) == []
    with open_rows(str(tmp_path / "?.csv"), None, None) as rows:
        assert pa.Table.from_batches(list(rows)).to_pydict() == {"id": ["a.csv", "b.csv"]}
    with pytest.raises(DataError, match="matches no file"):
        source_names(str(tmp_path / "*.parquet"))


def test_a_glob_on_s3_keeps_the_connection(emulator, monkeypatch):
    aws = {
        "conn_type": "aws",
        "login": AWS_ACCESS_KEY,
        "password": AWS_SECRET_KEY,
        "extra": {"endpoint_url": emulator.s3_url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_EMULATED_AWS", json.dumps(aws))
    base = "s3://emulated_aws@optimizely-import/many"
    for number in (2, 1):
        with ObjectStoragePath(f"{base}/{number}.csv").open("wb") as file:
            file.write(b"id\n%d\n" % number)
    names = source_names(f"{base}/*.csv")
    assert names == [f"{base}/1.csv", f"{base}/2.csv"]
    with open_file(names[0]) as stream:
        assert stream.read() == b"id\n1\n"
    with open_rows(f"{base}/*.csv", None, None) as rows:
        assert pa.Table.from_batches(list(rows)).to_pydict() == {"id": ["1", "2"]}


@pytest.mark.parametrize("source", ["", [], ()])
def test_an_empty_source_is_refused(source):
    with pytest.raises(SettingsError, match="source= is empty"), open_rows(source, None, None):
        pass


def test_paths_and_rows_do_not_mix():
    with pytest.raises(SettingsError, match="paths only, or rows only"):
        source_names(["a.csv", {"id": 1}])


def test_a_missing_file_is_named():
    with (
        pytest.raises(DataError, match=r"'/nowhere/a\.csv' is not there"),
        open_rows("/nowhere/a.csv", None, None) as rows,
    ):
        next(rows)
