"""What DuckDB and MySQL's drivers give in place of values that Python has not."""

import datetime
import json
from decimal import Decimal

import duckdb
import pytest

from optimove_provider.records.read.cursors import cursor_rows
from optimove_provider.records.read.drivers.described import mysqldb_cursor
from optimove_provider.records.to_json.encode import Encoder


def encoded(cursor):
    _, batch = cursor_rows(cursor)
    return Encoder(batch.schema, "id").encode(batch)


@pytest.mark.parametrize(
    "value",
    [
        "DATE 'infinity'",
        "DATE '-infinity'",
        "DATE '10000-06-23'",
        "'44-03-15 (BC)'::DATE",
        "TIMESTAMP 'infinity'",
        "TIMESTAMPTZ '-infinity'",
        "TIME '24:00:00'",
        "INTERVAL 1 MONTH",
        "'101'::BIT",
        "'\\xAA'::BLOB",
        "[DATE '2022-05-02', 'infinity']",
        "[DATE '10000-06-23']",
        "{'a': 'x', 'b': DATE 'infinity'}",
        "MAP {1: 2}",
    ],
)
def test_an_odd_value_of_duckdb_rejects_its_row_alone(value):
    with duckdb.connect() as connection:
        sql = f"SELECT 'k1' AS id, NULL AS v UNION ALL SELECT 'k2', {value} ORDER BY id"
        found = encoded(connection.cursor().execute(sql))
    assert found.records.to_pylist() == ['{"id":"k1"}']
    assert [(one.key, one.column) for one in found.unfit] == [('"k2"', "v")]


def test_other_values_of_duckdb_arrive():
    sql = """SELECT 'k' AS id, DATE '2022-05-02' AS day, TIMESTAMP '9999-12-31 00:00:00' AS at,
        '{"a": 1.10}'::JSON AS j, ['x'] AS l, {'a': DATE '2022-05-02'} AS s,
        'a'::ENUM('a') AS e, 1.5::DECIMAL(38, 2) AS d"""
    with duckdb.connect() as connection:
        (record,) = encoded(connection.cursor().execute(sql)).records.to_pylist()
    assert json.loads(record, parse_float=Decimal) == {
        "id": "k",
        "day": "2022-05-02",
        "at": "9999-12-31T00:00:00Z",
        "j": {"a": Decimal("1.10")},
        "l": ["x"],
        "s": {"a": "2022-05-02"},
        "e": "a",
        "d": Decimal("1.5"),
    }


class Cursor:
    """What PyMySQL gives for a table with a zero date: codes of its types, and a text where Python has no date."""

    __module__ = "pymysql.cursors"
    description = (("id", 253), ("day", 10), ("at", 12), ("doc", 245))

    def __init__(self):
        self._rows = [
            ("k1", datetime.date(2022, 5, 2), None, '{"a": 1}'),
            ("k2", "0000-00-00", None, None),
            ("k3", None, "2022-00-00 00:00:00", None),
            ("k4", "2016-00-00", None, None),  # PyMySQL #520: only the year is known
            ("k5", "2007-02-31", None, None),  # PyMySQL #993: a day that no month has
        ]

    def fetchmany(self, count):
        rows, self._rows = self._rows[:count], self._rows[count:]
        return rows


def test_a_zero_date_of_mysql_rejects_its_row_alone():
    found = encoded(Cursor())
    assert found.records.to_pylist() == ['{"day":"2022-05-02","doc":{"a": 1},"id":"k1"}']
    assert [(one.key, one.column, one.value_repr) for one in found.unfit] == [
        ('"k2"', "day", "0000-00-00"),
        ('"k3"', "at", "2022-00-00 00:00:00"),
        ('"k4"', "day", "2016-00-00"),
        ('"k5"', "day", "2007-02-31"),
    ]


class Connection:
    """What mysqlclient has in a connection: what makes values of texts, by the number of the type."""

    def __init__(self):
        def date_or_none(text):
            try:
                return datetime.date.fromisoformat(text)
            except ValueError:
                return None

        self.converter = dict.fromkeys((7, 10, 12), date_or_none)

    def cursor(self):
        return self


def test_a_zero_date_is_not_null_in_mysqlclient():
    """MySQLdb1 #39: zero dates and nulls are both None, so that a copy of the table is another table."""
    make = mysqldb_cursor(Connection()).converter[10]
    assert [make("2022-05-02"), make("0000-00-00")] == [datetime.date(2022, 5, 2), "0000-00-00"]
