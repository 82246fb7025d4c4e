"""Cursors of PostgreSQL's two drivers that hand on each value's text, and what makes values of it.

What a driver makes of a date or of a time of its own, it refuses in the middle of a fetch, or bends to 9999-12-31 or to
midnight. So texts come as they are, but for types of which every value is a Python value too.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any
from uuid import uuid4

from optimove_provider.records.read.drivers.postgres_text import Convert, PgType, converter

AS_THEY_COME = frozenset((16, 17, 18, 19, 20, 21, 23, 25, 26, 142, 700, 701, 705, 1042, 1043, 1700, 2950))
"""bool, bytea, "char", name, int8, int2, int4, text, oid, xml, float4, float8, unknown, bpchar, varchar, numeric, uuid:
both drivers read them exactly."""

_FIRST_OF_USERS = 10_000
"""Types of the server itself have lower numbers."""

_KNOWN = {
    114: PgType("json"),
    3802: PgType("jsonb"),
    1082: PgType("date"),
    1083: PgType("time"),
    1114: PgType("timestamp"),
    1184: PgType("timestamptz"),
}


def psycopg2_cursor(connection: Any) -> Any:
    """A named cursor of psycopg2, whose rows come as tuples whatever the connection says."""
    extensions = import_module("psycopg2.extensions")
    _write_iso_dates(connection, connection.get_parameter_status("DateStyle"))
    cursor = connection.cursor(_name(), cursor_factory=extensions.cursor)
    texts = tuple(oid for oid in range(1, _FIRST_OF_USERS) if oid not in AS_THEY_COME)
    extensions.register_type(extensions.new_type(texts, "OPTIMOVE_TEXT", lambda value, _: value), cursor)
    return cursor


def psycopg_cursor(connection: Any) -> Any:
    """The same of psycopg 3."""
    rows, strings = import_module("psycopg.rows"), import_module("psycopg.types.string")
    _write_iso_dates(connection, connection.info.parameter_status("DateStyle"))
    cursor = connection.cursor(_name(), row_factory=rows.tuple_row)
    for known in cursor.adapters.types:
        for oid in {known.oid, known.array_oid} - AS_THEY_COME - {0}:
            cursor.adapters.register_loader(oid, strings.TextLoader)
    return cursor


def _name() -> str:
    return f"optimove_{uuid4().hex}"


def _write_iso_dates(connection: Any, style: str | None) -> None:
    """Have the server write dates in ISO form; how it reads those in the query stays as it is."""
    if not (style or "").startswith("ISO"):
        with _plain_cursor(connection) as cursor:
            cursor.execute("SET datestyle TO 'ISO'")


def postgres_converters(cursor: Any) -> dict[int, Convert]:
    """What makes values of texts, by the number of the column, on a cursor that knows its columns."""
    described = cursor.description
    types = _types(cursor.connection, {column[1] for column in described} - AS_THEY_COME)
    columns = [(number, column[0], types[column[1]]) for number, column in enumerate(described) if column[1] in types]
    return {number: _of_text(converter(type_, name)) for number, name, type_ in columns}


def _of_text(convert: Convert) -> Callable[[Any], Any]:
    """What somebody has registered for a type of their own, everywhere, comes as they made it."""
    return lambda value: convert(value) if isinstance(value, str) else value


def _types(connection: Any, oids: Iterable[int]) -> dict[int, PgType]:
    found = {oid: _KNOWN[oid] for oid in oids if oid in _KNOWN}
    others = [int(oid) for oid in oids if oid not in _KNOWN]
    if others:
        found |= {oid: PgType(f"number {oid}") for oid in others}
        found |= _looked_up(connection, others)
    return found


_LOOK_UP = """
SELECT t.oid, t.typname, t.typtype, e.typname, e.typtype FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typlen = -1 WHERE t.oid IN ({})
"""


def _looked_up(connection: Any, oids: Iterable[int]) -> dict[int, PgType]:
    """Types of the server's catalogue: those of extensions and of users have other numbers in every database."""
    with _plain_cursor(connection) as cursor:
        cursor.execute(_LOOK_UP.format(",".join(map(str, oids))))
        found = cursor.fetchall()
    return {int(oid): _pg_type(name, kind, *element) for oid, name, kind, *element in found}


def _pg_type(name: str, kind: str, element: str | None = None, element_kind: str = "") -> PgType:
    return PgType(name, kind == "e", kind == "c", _pg_type(element, element_kind) if element else None)


def _plain_cursor(connection: Any) -> Any:
    if type(connection).__module__.startswith("psycopg2"):
        return connection.cursor(cursor_factory=import_module("psycopg2.extensions").cursor)
    return connection.cursor(row_factory=import_module("psycopg.rows").tuple_row)
