"""Queries on databases: how much is held at a time, what a driver refuses, and when a query is over."""

import sqlite3
from contextlib import closing, contextmanager

import pyarrow as pa
import pytest

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.cursors import cursor_rows, opened_cursor, rows_read_ahead
from optimove_provider.records.rows import BATCH_BYTES, BATCH_ROWS, MAX_ROW_BYTES, Unread

SERIES = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {})"
LONG = SERIES + " SELECT x AS id, printf('%.*c', {}, 'x') AS text FROM c"  # noqa: S608


@pytest.fixture
def sqlite():
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


class Counting:
    """A cursor that tells how many rows were asked for at a time."""

    def __init__(self, cursor):
        self._cursor, self.asked = cursor, []

    def __getattr__(self, name):
        return getattr(self._cursor, name)

    def fetchmany(self, count):
        self.asked.append(count)
        return self._cursor.fetchmany(count)


def test_long_rows_come_a_few_at_a_time(sqlite):
    cursor = Counting(sqlite.execute(LONG.format(900, 110_000)))
    batches = list(cursor_rows(cursor))
    assert sum(batch.num_rows for batch in batches) == 900
    assert max(batch.nbytes for batch in batches) <= BATCH_BYTES
    assert max(count * 110_000 for count in cursor.asked[1:]) < BATCH_BYTES / 4


def test_short_rows_come_in_whole_batches(sqlite):
    cursor = Counting(sqlite.execute(LONG.format(BATCH_ROWS + 1, 1)))
    assert [batch.num_rows for batch in cursor_rows(cursor)] == [0, BATCH_ROWS, 1]
    assert len(cursor.asked) < 40


@pytest.mark.parametrize("most", [1, 7, BATCH_ROWS, BATCH_ROWS + 3])
def test_no_more_rows_are_fetched_than_are_wanted(sqlite, most):
    cursor = Counting(sqlite.execute(LONG.format(3 * BATCH_ROWS, 1)))
    batches = list(cursor_rows(cursor, most))
    assert sum(batch.num_rows for batch in batches) == sum(cursor.asked) == most


def test_long_rows_after_many_short_ones_do_not_make_a_long_batch(sqlite):
    length = "CASE WHEN x > 900 THEN 300000 ELSE 1 END"
    sql = LONG.format(1100, length)
    batches = list(cursor_rows(sqlite.execute(sql)))
    assert [one for batch in batches for one in batch.column("id").to_pylist()] == [*range(1, 1101)]
    assert max(batch.nbytes for batch in batches) <= BATCH_BYTES


def test_a_row_that_is_too_long_is_refused_alone_and_by_name(sqlite):
    sql = LONG.format(3, f"CASE x WHEN 2 THEN {MAX_ROW_BYTES + 1} ELSE 1 END")
    found = list(rows_read_ahead(Watched(sqlite, sql).opened))
    (unread,) = [item for item in found if isinstance(item, Unread)]
    assert unread.text == '{"id": 2}'
    assert unread.reason.startswith(f"column 'text': {MAX_ROW_BYTES + 5} bytes, in a row of")
    assert unread.reason.endswith(f"a row may have {MAX_ROW_BYTES}: leave the column out, or shorten it")
    assert [row["id"] for item in found if isinstance(item, pa.RecordBatch) for row in item.to_pylist()] == [1, 3]
    assert isinstance(found[2], Unread)


class Watched:
    """A database whose end can be seen."""

    def __init__(self, connection, sql):
        self._connection, self._sql, self.is_open = connection, sql, False

    @contextmanager
    def opened(self):
        self.is_open = True
        try:
            with opened_cursor(self._connection) as cursor:
                cursor.execute(self._sql)
                yield cursor
        finally:
            self.is_open = False


def test_a_query_is_over_before_its_rows_are_used(sqlite):
    database = Watched(sqlite, LONG.format(2 * BATCH_ROWS, 1))
    rows = rows_read_ahead(database.opened)
    assert next(rows).schema.names == ["id", "text"]  # what is wrong with the columns is told before hours of reading
    seen = []
    for batch in rows:
        assert not database.is_open
        seen += batch.column("id").to_pylist()
    assert seen == [*range(1, 2 * BATCH_ROWS + 1)]


def test_whoever_stops_reading_ends_the_query(sqlite):
    database = Watched(sqlite, "SELECT 1")
    rows = rows_read_ahead(database.opened)
    next(rows)
    rows.close()
    assert not database.is_open


class Refusing:
    """A cursor of a driver that raises while it fetches the second time."""

    description = (("id",), ("born",))

    def __init__(self, error):
        self._error, self._fetched = error, 0

    def fetchmany(self, count):
        self._fetched += 1
        if self._fetched > 1:
            raise self._error
        return [(1, None)] * count


class DriversDataError(Exception):
    """What PEP 249 calls DataError, in a driver of its own."""


DriversDataError.__name__ = "DataError"


class OperationalError(Exception):
    """The same of a lost connection."""


def raised_from(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("year 10000 is out of range"),  # psycopg2 #1231 and pymysql: dates that Python has not
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),  # mysqlclient: latin1 in a utf8 column
        OverflowError("date value out of range"),
        DriversDataError("timestamp too large"),
        raised_from(OperationalError("conversion failed"), KeyError("type 999")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_driver_refuses_names_rows_and_columns(error):
    with pytest.raises(DataError) as raised:
        list(cursor_rows(Refusing(error)))
    assert not raised.value.retry_helps
    assert str(raised.value).startswith("the query, rows 6 to 30: the driver refused a value: ")
    assert str(error) in str(raised.value)
    assert "Cast the column of 'id', 'born' that holds it to text in the query" in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [OperationalError("server closed the connection"), ConnectionResetError(104, "reset"), TimeoutError("slow")],
)
def test_a_connection_that_is_lost_is_tried_again(error):
    with pytest.raises(type(error)):
        list(cursor_rows(Refusing(error)))
