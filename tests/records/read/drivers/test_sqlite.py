"""SQLite keeps whatever it is given: texts that are not UTF-8, and texts where numbers were declared."""

import sqlite3
from contextlib import closing, contextmanager
from functools import partial

import pytest

from optimove_provider.records.read.cursors import opened_cursor, rows_read_ahead
from optimove_provider.records.to_json.encode import Encoder

ROWS = [
    ("k1", "é"),
    ("k2", None),
    ("k3", b"\xff\x41"),
    ("k4", "caf\u00e9".encode("latin-1")),
    ("k5", "a\0b"),
    ("k6", b"\xed\xa0\xbd"),
    ("k7", b"\xc3\x28"),  # litecli #89: one such value, and not a row of the table was shown
]


@pytest.fixture
def connection():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (id TEXT, name TEXT, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?, CAST(? AS TEXT), 1)", ROWS)
        yield connection


@contextmanager
def executed(connection, sql):
    with opened_cursor(connection) as cursor:
        cursor.execute(sql)
        yield cursor


def encoded(connection, sql):
    _, batch = rows_read_ahead(partial(executed, connection, sql))
    return Encoder(batch.schema, "id").encode(batch)


def test_a_text_that_is_not_utf_8_rejects_its_row_alone(connection):
    found = encoded(connection, "SELECT id, name FROM t")
    assert found.records.to_pylist() == [
        '{"id":"k1","name":"é"}',
        '{"id":"k2"}',
        '{"id":"k5","name":"a\\u0000b"}',
    ]
    assert [(one.key, one.column, one.value_repr) for one in found.unfit] == [
        ('"k3"', "name", "\\xffA"),
        ('"k4"', "name", "caf\\xe9"),
        ('"k6"', "name", "\\xed\\xa0\\xbd"),
        ('"k7"', "name", "\\xc3("),
    ]
    assert found.unfit[0].reason == (
        "text that is not valid Unicode: invalid start byte at byte 0; cast it in the query, as hex(it)"
    )


def test_a_key_that_is_not_utf_8_is_none(connection):
    connection.execute("UPDATE t SET id = name")
    assert [one.key for one in encoded(connection, "SELECT id, n FROM t").unfit] == [None] * 5


def test_blobs_and_infinite_numbers_reject_their_rows_alone(connection):
    connection.execute("UPDATE t SET n = x'00' WHERE id = 'k1'")
    connection.execute("UPDATE t SET n = 9e999 WHERE id = 'k2'")
    found = encoded(connection, "SELECT id, n FROM t")
    assert [one.key for one in found.unfit] == ['"k1"', '"k2"']
    assert len(found.records) == 5
