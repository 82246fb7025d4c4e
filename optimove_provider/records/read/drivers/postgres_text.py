"""The text of a PostgreSQL value as a Python value: exactly, or as an `UnfitValue`, never as a value close to it.

Python has no infinite date, no year beyond 9999 or before 1, no 24:00; and drivers hand on the text of a type that they
do not know, `$1,234.50` or `(1,a)`, as if it were a text of the source's.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from optimove_provider.records.to_json.scalars import JsonText, UnfitValue

Convert = Callable[[str], Any]


class PgType(NamedTuple):
    """A type by its name in pg_type; an array has one of its elements."""

    name: str
    is_enum: bool = False
    is_composite: bool = False
    element: "PgType | None" = None


def converter(type_: PgType, column: str = "it") -> Convert:
    """What makes a value of its text, as the server writes it with ISO dates. It raises nothing."""
    if type_.element is not None:
        return _array_of(type_.element, column)
    if type_.is_enum:
        return str
    known = _EXACT.get(type_.name)
    return _guarded(type_.name, known) if known else lambda text: UnfitValue(text, _formless(type_, column))


def _guarded(name: str, make: Convert) -> Convert:
    def convert(text: str) -> Any:
        try:
            return make(text)
        except (ValueError, ArithmeticError, LookupError):
            return UnfitValue(
                text, f"this {name} has no form in JSON or CSV: replace it in the query, or cast it to text"
            )

    return convert


def _formless(type_: PgType, column: str) -> str:
    default = "to_jsonb({0})" if type_.is_composite else "{0}::text"
    cast = _CASTS.get(type_.name, default).format(column)
    return f"PostgreSQL's type {type_.name} has no form in JSON or CSV: cast it in the query, as {cast}"


_CASTS = {
    "money": "{0}::numeric",
    "interval": "extract(epoch FROM {0})",
    "timetz": "{0}::time",
    "hstore": "hstore_to_jsonb({0})",
    "bytea": "encode({0}, 'base64')",
    "record": "to_jsonb({0})",
    "vector": "{0}::real[]",
    "geometry": "ST_AsText({0})",
    "geography": "ST_AsText({0})",
}
"""What says the same in a type that travels; where nothing is said here, text does."""

_DAY = r"(?!0000)\d{4}-\d\d-\d\d"
_CLOCK = r"(?!24)\d\d:\d\d:\d\d(?:\.\d{1,6})?"


def _strictly(pattern: str, make: Convert) -> Convert:
    """What Python reads into an odd text, such as midnight into 24:00, differs from version to version."""
    fits = re.compile(pattern, re.ASCII).fullmatch

    def convert(text: str) -> Any:
        if not fits(text):
            raise ValueError(text)
        return make(text)

    return convert


_EXACT: dict[str, Convert] = {
    "bool": lambda text: {"t": True, "f": False}[text],
    **dict.fromkeys(("int2", "int4", "int8", "oid"), int),
    **dict.fromkeys(("float4", "float8"), float),
    "numeric": Decimal,
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "char", "citext", "xml", "unknown", "uuid"), str),
    **dict.fromkeys(("inet", "cidr", "macaddr", "macaddr8"), str),
    **dict.fromkeys(("json", "jsonb", "super"), JsonText),
    "date": _strictly(_DAY, date.fromisoformat),
    "time": _strictly(_CLOCK, time.fromisoformat),
    "timestamp": _strictly(f"{_DAY} {_CLOCK}", datetime.fromisoformat),
    "timestamptz": _strictly(rf"{_DAY} {_CLOCK}[+-]\d\d(?::\d\d){{0,2}}", datetime.fromisoformat),
}
"""Types of which a text says what it is. `super` is Redshift's JSON; the text of an address is the address itself."""


def _array_of(element: PgType, column: str) -> Convert:
    convert = converter(element, "each item")

    def array(text: str) -> Any:
        try:
            return _Items(text, convert).read()
        except (ValueError, RecursionError):
            return UnfitValue(
                text, f"an array of {element.name} that cannot be read: cast it in the query, as to_jsonb({column})"
            )

    return array


_BOUNDS = re.compile(r"(?:\[[+-]?\d+:[+-]?\d+\])+=", re.ASCII)
_PART = re.compile(r'[{},]|"(?:[^"\\]|\\.)*"|(?:[^{},"\\]|\\.)+', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class _Items:
    """Reads the text of an array. Raises ValueError if it is none."""

    def __init__(self, text: str, convert: Convert) -> None:
        bounds = _BOUNDS.match(text)
        self._parts, self._convert = _parts(text[bounds.end() :] if bounds else text), convert

    def read(self) -> list[Any]:
        if next(self._parts) != "{":
            raise ValueError("no array")
        found = self._list()
        if next(self._parts):
            raise ValueError("text after an array")
        return found

    def _list(self) -> list[Any]:
        """The items to the brace that closes them."""
        items: list[Any] = []
        part = next(self._parts)
        if part == "}":
            return items
        while True:
            items.append(self._list() if part == "{" else self._item(part))
            part = next(self._parts)
            if part == "}":
                return items
            if part != ",":
                raise ValueError("no comma")
            part = next(self._parts)

    def _item(self, part: str) -> Any:
        if part in ("", ",", "}"):
            raise ValueError("no item")
        if part.startswith('"'):
            return self._convert(_ESCAPED.sub(r"\1", part[1:-1]))
        return None if part.upper() == "NULL" else self._convert(_ESCAPED.sub(r"\1", part))


def _parts(text: str) -> Iterator[str]:
    """Braces, commas and items, then empty texts. Raises ValueError for what is none."""
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if not found:
            raise ValueError("a quote that is not closed")
        yield found[0]
        at = found.end()
    while True:
        yield ""
