"""The rows of a query, fetched a few at a time, on whatever driver Airflow's connection has."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import date, datetime, time
from itertools import repeat
from operator import add
from typing import Any

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.drivers.described import (
    Convert,
    duckdb_converters,
    mysql_converters,
    mysqldb_cursor,
)
from optimove_provider.records.read.drivers.postgres import postgres_converters, psycopg2_cursor, psycopg_cursor
from optimove_provider.records.read.drivers.refusals import refusals
from optimove_provider.records.read.drivers.sqlite import sqlite_cursor
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.read.waiting_rows import waiting_rows
from optimove_provider.records.rows import BATCH_BYTES, BATCH_ROWS, Reading, Rows, refuse_doubled, small_batches

FIRST_ROWS, FETCH_ROWS, FETCH_BYTES = 5, 1000, 4 << 20
"""How many rows the first fetch asks for; and at most the others, which ask for up to five times what came before, if
that holds about so many bytes."""

_Row = Sequence[Any]


@contextmanager
def opened_cursor(connection: Any) -> Iterator[Any]:
    """A cursor on a connection, such that the result set stays with the server where the driver can do that.

    Both drivers of PostgreSQL fetch a whole result at once unless the cursor has a name; then they take queries only.
    """
    with closing(_OPENED.get(_driver(connection), _plain)(connection)) as cursor:
        yield cursor


def _driver(of: Any) -> str:
    return type(of).__module__.partition(".")[0]


def _plain(connection: Any) -> Any:
    return connection.cursor()


_OPENED = {
    "psycopg2": psycopg2_cursor,
    "psycopg": psycopg_cursor,
    "sqlite3": sqlite_cursor,
    "MySQLdb": mysqldb_cursor,
}
_CONVERTERS: Mapping[str, Callable[[Any], dict[int, Convert]]] = {
    "psycopg2": postgres_converters,
    "psycopg": postgres_converters,
    "duckdb": duckdb_converters,
    "_duckdb": duckdb_converters,
    "pymysql": mysql_converters,
    "MySQLdb": mysql_converters,
}


def rows_read_ahead(opened: Callable[[], AbstractContextManager[Any]], most: int | None = None) -> Reading:
    """The rows of a query, which wait in a temporary file, as `cursor_rows` gives them.

    All are fetched, and the query is over, before the second batch is given: however long it takes to send what is
    read, no transaction of the database waits for it. `opened` gives a cursor on which the query has been executed. No
    more than `most` rows are fetched, but for a few; None for all.
    """
    with waiting_rows() as waiting:
        with opened() as cursor:
            rows = cursor_rows(cursor, most)
            yield next(rows)
            waiting.put_aside(rows)
        yield from waiting.take_up()


def cursor_rows(cursor: Any, most: int | None = None) -> Rows:
    """The rows of a DB-API cursor on which a query has been executed; the first batch is empty.

    `most` is how many are wanted, None for all: not many more are fetched. Raises DataError for a statement without
    rows, a column that is named twice, and where the driver refuses a value.
    """
    fetch = _Fetch(cursor)
    if cursor.description is None:
        # psycopg2 knows the columns of a named cursor from the first fetch on.
        fetch.look(FIRST_ROWS if getattr(cursor, "name", None) else 0)
    names = fetch.names
    refuse_doubled(names, "the query")
    convert = _CONVERTERS.get(_driver(cursor), lambda _: {})(cursor)
    columns = Columns()
    yield columns.batch({name: [] for name in names})
    for rows in _grouped(fetch, sys.maxsize if most is None else most):
        yield from small_batches(columns.batch(_by_column(names, rows, convert)))


def _by_column(names: Sequence[str], rows: Sequence[_Row], convert: Mapping[int, Convert]) -> dict[str, Sequence[Any]]:
    columns = list(zip(*rows, strict=True))
    for number, make in convert.items():
        columns[number] = tuple(None if value is None else make(value) for value in columns[number])
    return dict(zip(names, columns, strict=True))


class _Fetch:
    """Fetches rows. What the last ones held says how many more are asked for at a time."""

    def __init__(self, cursor: Any) -> None:
        self._cursor, self._count, self._number = cursor, FIRST_ROWS, 0
        self._waiting: Sequence[_Row] = ()

    @property
    def names(self) -> list[str]:
        """The columns. Raises DataError for a statement that has none."""
        if self._cursor.description is None:
            raise DataError("the sql returns no rows: a SELECT is expected")
        return [str(column[0]) for column in self._cursor.description]

    def look(self, rows: int) -> None:
        """Fetch the first rows, which then wait."""
        self._waiting = self._fetched(rows) if rows else ()

    def some(self, at_most: int) -> list[tuple[_Row, int]]:
        """Some rows, with the bytes of each; none at the end."""
        rows, self._waiting = self._waiting or self._fetched(min(self._count, at_most)), ()
        sizes = _sizes(rows)
        self._number += len(rows)
        self._count = max(1, min(FETCH_ROWS, 5 * len(rows), FETCH_BYTES * len(rows) // max(1, sum(sizes))))
        return list(zip(rows, sizes, strict=True))

    def _fetched(self, count: int) -> Sequence[_Row]:
        described = self._cursor.description or ()
        with refusals(f"the query, rows {self._number + 1} to {self._number + count}", [one[0] for one in described]):
            rows: Sequence[_Row] = self._cursor.fetchmany(count)
        return rows


def _grouped(fetch: _Fetch, most: int) -> Iterator[list[_Row]]:
    """Rows of one batch each. No more are fetched than it has room for, and than are wanted."""
    group: list[_Row] = []
    held = 0
    while most > 0 and (found := fetch.some(min(most, BATCH_ROWS - len(group)))):
        most -= len(found)
        for row, size in found:
            if group and held + size > BATCH_BYTES:
                yield group
                group, held = [], 0
            group.append(row)
            held += size
        if len(group) == BATCH_ROWS:
            yield group
            group, held = [], 0
    if group:
        yield group


_BRIEF = frozenset((type(None), bool, int, float, date, datetime, time))


def _sizes(rows: Sequence[_Row]) -> list[int]:
    """About how many bytes each row has."""
    sizes = [0] * len(rows)
    for values in zip(*rows, strict=True):
        more = repeat(8) if _BRIEF.issuperset(map(type, values)) else map(_bytes, values)
        sizes = list(map(add, sizes, more))
    return sizes


def _bytes(value: Any) -> int:
    """About what a value takes as text."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_bytes, value)) + sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 8
