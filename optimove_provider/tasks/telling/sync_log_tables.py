"""The tables of the sync log, and the portable SQL that makes and fills them. Standard library only: any driver of
PEP 249 brings the rest.

A table is only ever added to: a column keeps its name, its type and what it means.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

Row = Mapping[str, Any]
BATCH = 500
"""Rows that are bound at once."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what it says, and its type; of a text, how many bytes of UTF-8 it may have."""

    name: str
    says: str
    type: str = ""
    size: int = 255

    @property
    def sql_type(self) -> str:
        """The type in words that databases have in common: instants are texts, since their types are not."""
        return self.type or f"VARCHAR({self.size})"

    def fit(self, value: Any) -> Any:
        """The value as it is bound: of a text what fits, without what no database takes; an empty one is null."""
        if value is None or value == "":
            return None
        if self.type:
            return value
        text = str(value).replace("\0", "\ufffd").encode("utf-8", "replace")
        return text[: self.size].decode("utf-8", "ignore")


WHOLE, NUMBER = "BIGINT", "DOUBLE PRECISION"
_INSTANT = "in UTC, as 2026-11-28T02:00:00.000000+00:00, so that texts compare as instants do"
LOGGED_AT = Column("logged_at", f"when this row was written, {_INSTANT}", size=32)
LOAD_ID = Column("load_id", "the load; retries of a task share it", size=64)
OF_LOADS = (
    LOAD_ID,
    LOGGED_AT,
    Column("state", "`committed`, `nothing_to_send`, `uploaded` or `failed`", size=32),
    Column("kind", "`optix` or `dcp`", size=16),
    Column("target", "uuid of the data connection, or id of the table (of aliases: of the service)"),
    Column("host", "base URL of the target", size=1000),
    Column("dag_id", "the task, in Airflow's words"),
    Column("task_id", "the same"),
    Column("run_id", "the same"),
    Column("map_index", "-1 unless the task is mapped", WHOLE),
    Column("try_number", "the try that ended last", WHOLE),
    Column("load_mode", "`full`, `changed`, `update`, `profiles` or `aliases`", size=32),
    Column("window_start", "begin of the window, where there is one", size=32),
    Column("window_end", "its end", size=32),
    Column("generation", "the instant that the rows stand for", size=32),
    Column("began", "when the last try began", size=32),
    Column("ended", "when it ended", size=32),
    Column("seconds", "how long it took", NUMBER),
    Column("rows_total", "rows of the source; the seven that follow add up to it", WHOLE),
    Column("rows_accepted", "rows that the vendor took", WHOLE),
    Column("rows_rejected", "rows that cannot travel, or that the vendor refused", WHOLE),
    Column("rows_unchanged", "rows that the target had already", WHOLE),
    Column("rows_stale", "rows of which the target had newer ones", WHOLE),
    Column("rows_deleted", "rows that are deletions, and whose record is gone", WHOLE),
    Column("rows_suppressed", "rows left out, as their keys are on the target's suppression list", WHOLE),
    Column("rows_unsent", "rows that were not sent, or not published", WHOLE),
    Column("records_expired", "records that the source lacks, made to expire", WHOLE),
    Column("owed_sent", "rows refused before, none of the source's, that went again; null where none are kept", WHOLE),
    Column("owed_accepted", "those of them that the vendor took", WHOLE),
    Column("owed_left", "rows that are owed to the target after the load", WHOLE),
    Column("evidence", "who counted the accepted rows: `counted`, `sampled ...`, `none`"),
    Column("visibility", "`visible`, `not visible`, `not known`", size=32),
    Column("next_step", "after a failure: what to do", size=500),
    Column("batch_uuid", "under which Opti-X knows the rows", size=64),
    Column("requests", "to the vendor, in the last try", WHOLE),
    Column("requests_throttled", "those answered with 429 or 503", WHOLE),
    Column("report", "URL of the load's report", size=1000),
    Column("failed_with", "the kind of error of a try that failed", size=100),
    Column("problem", "its text, with `[optimove] show_records` only: it may quote cells", size=2000),
)
OF_REJECTED = (
    LOAD_ID,
    Column("rejected_number", "the first rejected row of the load is 1", WHOLE),
    LOGGED_AT,
    Column("dag_id", "the task, in Airflow's words"),
    Column("task_id", "the same"),
    Column("source_row", "number of the row in the source", WHOLE),
    Column("status", "of the vendor's answer; null for a row that was not sent", size=32),
    Column("reason", "why, in the vendor's words or ours", size=2000),
    Column("content", "the row, with `[optimove] show_records` only", size=4000),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table by its name, checked before, which stands in SQL as it is. The first `keys` columns name a row."""

    name: str
    columns: tuple[Column, ...]
    keys: int = 1

    @property
    def create(self) -> str:
        """The statement that makes it."""
        nulls = [" NOT NULL"] * self.keys + [""] * (len(self.columns) - self.keys)
        told = [f"{one.name} {one.sql_type}{null}" for one, null in zip(self.columns, nulls, strict=True)]
        keys = ", ".join(one.name for one in self.columns[: self.keys])
        return f"CREATE TABLE {self.name} ({', '.join(told)}, PRIMARY KEY ({keys}))"

    def missing(self, known: set[str] | None) -> list[str]:
        """The statements that make it what it should be, of the names that it has; None where it is not there."""
        if known is None:
            return [self.create]
        # Without the word COLUMN, which some databases do not know here.
        lacked = [one for one in self.columns if one.name not in known]
        return [f"ALTER TABLE {self.name} ADD {one.name} {one.sql_type}" for one in lacked]


def loads_table(name: str) -> Table:
    """The table with a row a load."""
    return Table(name, OF_LOADS)


def rejected_table(name: str) -> Table:
    """The table with a row a rejected row, beside that of the loads."""
    return Table(f"{name}_rejected", OF_REJECTED, keys=2)


class Database:
    """A connection of some driver. `placeholder` is what it binds values with, where the driver does not say so."""

    def __init__(self, connection: Any, placeholder: str = "%s") -> None:
        self._connection = connection
        self._style = _paramstyle(connection) or ("qmark" if placeholder == "?" else "format")

    def ensure(self, table: Table) -> None:
        """Create the table, or add the columns that it lacks. Another load may do so at the same time."""
        for statement in table.missing(self._known(table)):
            try:
                self._run(statement)
                self._connection.commit()
            except Exception:
                self._undo()
                if statement in table.missing(self._known(table)):
                    raise

    def replace(self, table: Table, load_id: str, rows: Iterable[Row], before: str | None) -> None:
        """Put a load's rows in place of those that it has, and delete what was logged `before`: all of it or nothing.

        The rows are taken in batches. Raises the driver's errors.
        """
        try:
            self._delete(table, "load_id", "=", load_id)
            if before:
                self._delete(table, "logged_at", "<", before)
            self._insert(table, rows)
            self._connection.commit()
        except BaseException:
            self._undo()
            raise

    def _delete(self, table: Table, column: str, compares: str, value: str) -> None:
        (place,) = self._places([column])
        statement = f"DELETE FROM {table.name} WHERE {column} {compares} {place}"  # noqa: S608 - names are checked
        self._run(statement, self._bound({column: value}))

    def _insert(self, table: Table, rows: Iterable[Row]) -> None:
        names = [one.name for one in table.columns]
        places = ", ".join(self._places(names))
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - names are checked
        left = iter(rows)
        with closing(self._connection.cursor()) as cursor:
            while batch := [self._bound(_fitted(table, row)) for row in islice(left, BATCH)]:
                cursor.executemany(statement, batch)

    def _known(self, table: Table) -> set[str] | None:
        """The names of the columns that the table has; None if it cannot be read, most often as it is not there."""
        with closing(self._connection.cursor()) as cursor:
            try:
                cursor.execute(f"SELECT * FROM {table.name} WHERE 1 = 0")  # noqa: S608 - the name is checked
                return {str(one[0]).lower() for one in cursor.description}
            except Exception:
                return None
            finally:
                self._undo()

    def _run(self, statement: str, bound: Any = ()) -> None:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement, *([bound] if bound else []))

    def _undo(self) -> None:
        with suppress(Exception):  # a connection that is gone, a driver without transactions
            self._connection.rollback()

    def _places(self, names: list[str]) -> list[str]:
        return [_PLACES[self._style](number, name) for number, name in enumerate(names, 1)]

    def _bound(self, values: Row) -> Any:
        return dict(values) if self._style in ("named", "pyformat") else tuple(values.values())


_PLACES: Mapping[str, Callable[[int, str], str]] = {
    "qmark": lambda number, name: "?",
    "format": lambda number, name: "%s",
    "numeric": lambda number, name: f":{number}",
    "named": lambda number, name: f":{name}",
    "pyformat": lambda number, name: f"%({name})s",
}


def _fitted(table: Table, row: Row) -> dict[str, Any]:
    return {one.name: one.fit(row.get(one.name)) for one in table.columns}


def _paramstyle(connection: Any) -> str:
    """The way in which the connection's driver takes values, as its module says; empty if it does not."""
    styles = (getattr(sys.modules.get(name), "paramstyle", "") for name in _modules(connection))
    return next((style for style in styles if style in _PLACES), "")


def _modules(connection: Any) -> Iterator[str]:
    """The module of the connection's class, and those around it."""
    name = type(connection).__module__
    while name:
        yield name
        name = name.rpartition(".")[0]
