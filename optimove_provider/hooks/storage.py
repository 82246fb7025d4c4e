"""File systems and cursors, opened as Airflow opens them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow.providers.common.compat.sdk import BaseHook

from optimove_provider.contract.errors import DataError, SettingsError

if TYPE_CHECKING:
    import pyarrow as pa

Source = str | Sequence[Mapping[str, Any]]


@contextmanager
def open_file(source: str) -> Iterator[BinaryIO]:
    """A file as a binary stream, from any storage that Airflow knows: a path, or s3://conn_id@bucket/key."""
    from airflow.sdk import ObjectStoragePath

    try:
        stream = ObjectStoragePath(source).open("rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"source {source!r} is not there: {error}") from None
    with closing(stream):
        yield stream


@contextmanager
def open_rows(
    source: Source | None, sql: str | None, sql_conn_id: str | None, parameters: Any = None
) -> Iterator["Iterator[pa.RecordBatch]"]:
    """The rows of a file, of a query or of a short list, as a stream of record batches."""
    from optimove_provider.records import sources
    from optimove_provider.records.reading import decompressed

    check_one_source(source, sql, sql_conn_id)
    if sql is not None:
        with _cursor(str(sql_conn_id), sql, parameters) as cursor:
            yield sources.cursor_batches(cursor)
    elif isinstance(source, str):
        # The reader is closed before its stream, whoever stops reading first.
        with open_file(source) as stream, closing(sources.csv_batches(decompressed(stream, source), source)) as batches:
            yield batches
    else:
        yield sources.list_batches(source or [])


def check_one_source(source: Source | None, sql: str | None, sql_conn_id: str | None) -> None:
    """Raise SettingsError unless there is a source, or a query with its connection."""
    if (source is None) == (sql is None):
        raise SettingsError("give either source= or sql=, not both and not neither")
    if sql is not None and not sql_conn_id:
        raise SettingsError("sql= needs sql_conn_id=, the connection of the warehouse")


@contextmanager
def _cursor(conn_id: str, sql: str, parameters: Any) -> Iterator[Any]:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    hook = BaseHook.get_hook(conn_id)
    if not isinstance(hook, DbApiHook):
        raise SettingsError(f"sql_conn_id {conn_id!r} is no connection to a database, but a {hook.conn_type}")
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(sql, *([parameters] if parameters is not None else []))
        yield cursor
