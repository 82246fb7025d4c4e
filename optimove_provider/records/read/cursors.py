"""The rows of a query, fetched a batch at a time, on whatever driver Airflow's connection has."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any
from uuid import uuid4

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.rows import BATCH_ROWS, Rows, refuse_doubled
from optimove_provider.records.to_json.scalars import JsonText


@contextmanager
def opened_cursor(connection: Any) -> Iterator[Any]:
    """A cursor on a connection, such that the result set stays with the server where the driver can do that.

    Both drivers of PostgreSQL fetch a whole result at once unless the cursor has a name; then they take queries only.
    Their rows come as tuples whatever the connection says, and JSON as the text that the server sent.
    """
    driver = type(connection).__module__.partition(".")[0]
    with closing(_NAMED.get(driver, _plain)(connection)) as cursor:
        yield cursor


def _plain(connection: Any) -> Any:
    return connection.cursor()


def _psycopg2(connection: Any) -> Any:
    extras, extensions = import_module("psycopg2.extras"), import_module("psycopg2.extensions")
    for register in (extras.register_default_json, extras.register_default_jsonb):
        register(connection, loads=JsonText)
    return connection.cursor(_name(), cursor_factory=extensions.cursor)


def _psycopg(connection: Any) -> Any:
    rows, documents = import_module("psycopg.rows"), import_module("psycopg.types.json")
    cursor = connection.cursor(_name(), row_factory=rows.tuple_row)
    documents.set_json_loads(_text_of_bytes, cursor)
    return cursor


def _text_of_bytes(document: str | bytes) -> JsonText:
    return JsonText(document.decode() if isinstance(document, bytes) else document)


def _name() -> str:
    return f"optimove_{uuid4().hex}"


_NAMED = {"psycopg2": _psycopg2, "psycopg": _psycopg}


def cursor_rows(cursor: Any) -> Rows:
    """The rows of a DB-API cursor on which a query has been executed; the first batch is empty.

    Raises DataError for a statement without rows and a column that is named twice.
    """
    # psycopg2 knows the columns of a named cursor from the first fetch on.
    rows = cursor.fetchmany(BATCH_ROWS) if cursor.description is None and getattr(cursor, "name", None) else None
    if cursor.description is None:
        raise DataError("the sql returns no rows: a SELECT is expected")
    names = [column[0] for column in cursor.description]
    refuse_doubled(names, "the query")
    columns = Columns()
    yield columns.batch({name: [] for name in names})
    rows = cursor.fetchmany(BATCH_ROWS) if rows is None else rows
    while rows:
        yield columns.batch(dict(zip(names, zip(*rows, strict=True), strict=True)))
        rows = cursor.fetchmany(BATCH_ROWS)
