"""Columns of DuckDB and MySQL by what their descriptions say: what such a driver gives in place of a value that Python
has not."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from optimove_provider.records.to_json.scalars import JsonText, UnfitValue

Convert = Callable[[Any], Any]

_ENDS = frozenset((date.min, date.max, datetime.min, datetime.max))
_MYSQL_TYPES = {7: "timestamp", 10: "date", 11: "time", 12: "datetime", 16: "bit", 245: "json", 255: "geometry"}


def duckdb_converters(cursor: Any) -> dict[int, Convert]:
    """DuckDB gives the first or the last day for infinity, in lists and structs too, and a text for what is beyond."""
    return _of_types(
        {number: str(column[1]).lower() for number, column in enumerate(cursor.description)}, _odd_of_duckdb
    )


def mysql_converters(cursor: Any) -> dict[int, Convert]:
    """PyMySQL gives a text for a date like 0000-00-00."""
    types = {number: _MYSQL_TYPES.get(column[1], "") for number, column in enumerate(cursor.description)}
    return _of_types(types, _odd_text)


def mysqldb_cursor(connection: Any) -> Any:
    """A cursor of mysqlclient, which would give null for such a date."""
    for code in (7, 10, 12):
        made = connection.converter[code]
        connection.converter[code] = lambda text, made=made: text if (value := made(text)) is None else value
    return connection.cursor()


def _of_types(types: Mapping[int, str], odd: Callable[[str], Convert]) -> dict[int, Convert]:
    made: dict[int, Convert] = {}
    for number, name in types.items():
        if name == "json":
            made[number] = lambda value: JsonText(value) if isinstance(value, str) else value
        elif any(word in name for word in ("date", "time", "bit", "geometry")):
            made[number] = odd(name)
    return made


def _odd_text(name: str) -> Convert:
    return lambda value: _unfit(value, name) if isinstance(value, str) else value


def _unfit(text: str, name: str) -> UnfitValue:
    return UnfitValue(text, f"this {name} has no form in JSON or CSV: replace it in the query, or cast it to text")


def _odd_of_duckdb(name: str) -> Convert:
    has_members = "(" in name  # of a struct for instance, of which others may be texts

    def convert(value: Any) -> Any:
        if isinstance(value, date) and value in _ENDS:
            return UnfitValue(
                str(value), "DuckDB's driver gives this for infinity as well: cast it to text in the query"
            )
        if isinstance(value, list | tuple):
            return [convert(item) for item in value]
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        return _unfit(value, name) if isinstance(value, str) and not has_members else value

    return convert
