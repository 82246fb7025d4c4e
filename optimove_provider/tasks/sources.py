"""File systems and cursors, opened as Airflow opens them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow.providers.common.compat.sdk import BaseHook

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.hooks.connection_fields import known_connection

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.sdk import ObjectStoragePath

    from optimove_provider.records.read.parquet_files import Footer
    from optimove_provider.records.read.parts import Part
    from optimove_provider.records.read.sources import Rows
    from optimove_provider.records.rejected_lines import Marker

Source = str | Sequence[str] | Sequence[Mapping[str, Any]]

_GLOB_CHARACTERS = frozenset("*?[")


@contextmanager
def open_file(source: str) -> Iterator[BinaryIO]:
    """A file as a binary stream, from any storage that Airflow knows: a path, or s3://conn_id@bucket/key."""
    from airflow.sdk import ObjectStoragePath

    try:
        stream = ObjectStoragePath(source).open("rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(
            f"source {source!r} is not there: {error}; check the path, and the connection that its URL names"
        ) from None
    with closing(stream):
        yield stream


@contextmanager
def open_rows(
    source: Source | None,
    sql: str | None,
    sql_conn_id: str | None,
    parameters: Any = None,
    limit: int | None = None,
) -> Iterator["Rows"]:
    """The rows of files, of a query or of a short list, as a stream of record batches and of rows not read.

    A query is over before its rows are handed on: its database does not wait for whoever takes them. With a `limit`
    it gives one row more, or a few, so that a load that is limited knows whether there are others.

    Raises SettingsError or DataError if there is no such source, and while it is read, as `records.read.sources` says.
    """
    from optimove_provider.records.read import sources

    check_one_source(source, sql, sql_conn_id)
    if sql is not None:
        hook = database(str(sql_conn_id))
        with closing(sources.rows_read_ahead(partial(_executed, hook, sql, parameters), limit and limit + 1)) as rows:
            yield rows
    elif names := source_names(source or []):
        with closing(sources.file_rows(names, open_file)) as rows:
            yield rows
    else:
        yield sources.list_batches(cast("Sequence[Mapping[str, Any]]", source))


def source_parts(
    source: Source | None,
    sql: str | None,
    sql_conn_id: str | None,
    parameters: Any,
    count: int,
    shard_by: str | None = None,
    bounds: Sequence[Any] | None = None,
) -> "list[Part]":
    """The parts of a source that so many tasks can read, or fewer. Of a query they are ranges of the column `shard_by`,
    which meet at the `bounds`, or are about as wide. Raises SettingsError, DataError.
    """
    from optimove_provider.records.read import parts
    from optimove_provider.records.read.sources import check_together, file_marker

    if sql is not None:
        found = parts.check_bounds(bounds) if bounds else _bounds(sql, sql_conn_id, parameters, count, shard_by or "")
        return parts.parts_of_query(shard_by or "", found)
    names = source_names(source or [])
    if not names:
        raise SettingsError("source= is a list of rows, which one task reads: leave readers=1")
    if len(names) == 1 and file_marker(names[0], open_file):
        raise SettingsError("source= has rejected rows of a load, which are replayed by one task: leave readers=1")
    check_together(names, open_file)
    return parts.parts_of_files(_sizes(names), _footers(names) if len(names) < count else {}, count)


def _bounds(sql: str, sql_conn_id: str | None, parameters: Any, count: int, shard_by: str) -> list[int]:
    from optimove_provider.records.read import parts

    with _executed(database(str(sql_conn_id)), parts.extent_query(sql, shard_by), parameters) as cursor:
        low, high = cursor.fetchone()
    return parts.bounds_between(low, high, count, shard_by)


def _sizes(names: Sequence[str]) -> dict[str, int]:
    """The bytes of files. Raises DataError for one that is not there."""
    from airflow.sdk import ObjectStoragePath

    found: dict[str, int] = {}
    for name in names:
        try:
            found[name] = int(ObjectStoragePath(name).stat().st_size or 0)
        except FileNotFoundError:
            raise DataError(
                f"source {name!r} is not there: check the path, and the connection that its URL names"
            ) from None
    return found


def _footers(names: Sequence[str]) -> "dict[str, Footer]":
    """What the ends of Parquet files say; nothing of files of another format."""
    from optimove_provider.records.files import format_of
    from optimove_provider.records.read.parquet_files import parquet_footer

    if any(format_of(name) != "parquet" for name in names):
        return {}
    found: dict[str, Footer] = {}
    for name in names:
        with open_file(name) as stream:
            found[name] = parquet_footer(stream, name)
    return found


@contextmanager
def open_part(part: "Part", sql: str | None, sql_conn_id: str | None, parameters: Any = None) -> Iterator["Rows"]:
    """The rows of a part of a source, as a stream. Whoever takes them should be quick: a query goes on meanwhile."""
    from optimove_provider.records.read import sources
    from optimove_provider.records.read.parts import restricted

    if part.groups:
        with closing(sources.row_groups(part.files[0], open_file, range(*part.groups), part.footer)) as rows:
            yield rows
    elif part.files:
        with open_rows(part.files, None, None) as rows:
            yield rows
    else:
        with _executed(database(str(sql_conn_id)), restricted(str(sql), part.where), parameters) as cursor:
            yield sources.cursor_batches(cursor)


def rejected_marker(source: Source | None) -> "Marker | None":
    """What a file of rejected rows says of its load, if the source is one: its rows are as old as that. None of others.

    Of several files none may be such a one; that is refused when they are read.
    """
    from optimove_provider.records.read.sources import file_marker

    names = source_names(source or [])
    return file_marker(names[0], open_file) if len(names) == 1 else None


def marker_if_there(source: Source | None) -> "Marker | None":
    """The same before rows are read, if they will be: a retry sends what is frozen, whatever became of the source.

    What cannot be opened, or is damaged, is refused when it is read.
    """
    try:
        return rejected_marker(source)
    except DataError:
        return None


def source_names(source: Source) -> list[str]:
    """The files that a source means, the globs in it resolved, in the order of their names; none for a list of rows.

    Raises DataError for a glob that matches no file, SettingsError for a list of paths with something else in it.
    """
    if isinstance(source, str):
        return _matching(source)
    if not any(isinstance(one, str) for one in source):
        return []
    if not all(isinstance(one, str) for one in source):
        raise SettingsError("source= is a list of paths with something else in it: give paths only, or rows only")
    return [name for one in cast("Sequence[str]", source) for name in _matching(one)]


def _matching(pattern: str) -> list[str]:
    """The files that match a glob; a name without wildcards, or of a file that is there, means itself."""
    if not _GLOB_CHARACTERS.intersection(pattern):
        return [pattern]
    from airflow.sdk import ObjectStoragePath

    path = ObjectStoragePath(pattern)
    if path.exists():
        return [pattern]
    found = path.fs.glob(path.path, detail=True)
    names = sorted(name for name, about in found.items() if about["type"] == "file")
    if not names:
        raise DataError(f"source {pattern!r} matches no file: check the path, or when the file is written")
    return [_url(path, name) for name in names]


def _url(path: "ObjectStoragePath", name: str) -> str:
    """The URL of a file that the storage of `path` names, on the same connection."""
    if path.protocol in ("", "file"):
        return name
    connection = f"{path.conn_id}@" if path.conn_id else ""
    return f"{path.protocol}://{connection}{name}"


def check_one_source(source: Source | None, sql: str | None, sql_conn_id: str | None) -> None:
    """Raise SettingsError unless there is a source that is not empty, or a query with its connection."""
    if (source is None) == (sql is None):
        raise SettingsError("give either source= or sql=, not both and not neither")
    if source is not None and not source:
        raise SettingsError("source= is empty: give a file, files, a glob, or a list of rows")
    if sql is not None and not sql_conn_id:
        raise SettingsError("sql= needs sql_conn_id=, the connection of the warehouse")


def database(conn_id: str, named: str = "sql_conn_id") -> "DbApiHook":
    """Airflow's hook of a database, whose connection an option names. Raises SettingsError if it is none."""
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    with known_connection(conn_id):
        hook = BaseHook.get_hook(conn_id)
    if not isinstance(hook, DbApiHook):
        raise SettingsError(
            f"{named} {conn_id!r} is no connection to a database, but a {hook.conn_type}: name the warehouse's"
        )
    return hook


@contextmanager
def _executed(hook: "DbApiHook", sql: str, parameters: Any) -> Iterator[Any]:
    """A cursor on which the query has been executed; connection and transaction end with it."""
    from optimove_provider.records.read.sources import opened_cursor, refusals

    with closing(hook.get_conn()) as connection, opened_cursor(connection) as cursor:
        with refusals("the query"):
            cursor.execute(sql, *([parameters] if parameters is not None else []))
        yield cursor
