"""Values as they travel: JSON for Opti-X, or the text of a CSV cell for DCP.

| value | in JSON | in CSV |
| --- | --- | --- |
| null | the field is left out | an empty cell |
| boolean | true, false | true, false |
| integer, decimal | a number, every digit kept | the same digits |
| float | the shortest number that reads back the same; NaN and infinities are refused | the same |
| text | a string | the text, quotes doubled |
| date | "2022-05-02" | 2022-05-02 |
| date with time | "2022-05-02T10:10:59Z"; in UTC, one without a zone is taken as UTC | the same |
| list, struct | nested JSON | refused |
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from optimove_provider.contract.errors import DataError

KEY_TYPES = ("string", "integer")


class _Unfit(ValueError):
    """A value that cannot travel; the text says why."""


def _number(value: float | Decimal) -> str:
    if not math.isfinite(value):
        raise _Unfit("NaN and infinities are no JSON numbers")
    return format(value, "f") if isinstance(value, Decimal) else repr(value)


def _instant(value: datetime) -> str:
    utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return f"{utc.isoformat()}Z"


def _plain(value: Any) -> str | None:
    """The text of a value that looks the same in JSON and in CSV, apart from quotes; None for any other value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _number(value) if isinstance(value, float | Decimal) else None


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date):
        return value.isoformat()
    raise _Unfit(f"a {type(value).__name__} has no form in JSON or CSV: cast it to text in the query")


def json_value(value: Any) -> str:
    """A value as JSON text. Raises ValueError, which says why, for one that JSON cannot carry."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        members = (f"{json.dumps(str(name), ensure_ascii=False)}:{json_value(item)}" for name, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_value, value)) + "]"
    plain = _plain(value)
    return json.dumps(_written(value), ensure_ascii=False) if plain is None else plain


def csv_value(value: Any) -> str:
    """A value as the text of a CSV cell. Raises ValueError, which says why, for one that has none."""
    if value is None:
        return ""
    plain = _plain(value)
    return _written(value) if plain is None else plain


def key_value(value: Any, key_type: str) -> str:
    """A key as JSON text, in one type for the whole load: 1 and "1" may be two records to Opti-X.

    "string" takes text and integers (1 travels as "1"), "integer" takes integers and their plain digits.
    """
    if value is None or value == "":
        raise _Unfit("a key is missing")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _Unfit(f"a key must be text or an integer, not a {type(value).__name__}: cast it in the query")
    if key_type == "string":
        return json.dumps(str(value), ensure_ascii=False)
    if str(value).removeprefix("-").isascii() and str(value).removeprefix("-").isdecimal():
        return str(int(value))
    raise _Unfit("key_type is integer, and this is none")


def _cell(render: Callable[[Any], str], value: Any, row: int, column: str) -> str:
    try:
        return render(value)
    except ValueError as error:
        raise DataError(f"row {row}, column {column!r}, value {value!r:.200}: {error}") from None


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, list[str], tuple[Any, ...]]]:
    number = 0
    for batch in batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield number, batch.schema.names, row


def json_records(
    batches: Iterable[pa.RecordBatch], primary_key: str, key_type: str = "string"
) -> Iterator[tuple[int, str, str]]:
    """Each row as (row number from 1, key as JSON text, record as JSON text).

    Raises DataError, naming row, column and value, for a key or a value that cannot travel.
    """
    for number, names, row in _rows(_with_column(batches, primary_key)):
        key, members = "", []
        for name, value in zip(names, row, strict=True):
            if name == primary_key:
                text = key = _cell(lambda value: key_value(value, key_type), value, number, name)
            elif value is None:
                continue
            else:
                text = _cell(json_value, value, number, name)
            members.append(f"{json.dumps(name, ensure_ascii=False)}:{text}")
        yield number, key, "{" + ",".join(members) + "}"


def _with_column(batches: Iterable[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if column not in batch.schema.names:
            raise DataError(f"the key column {column!r} is missing; the source has {', '.join(batch.schema.names)}")
        yield batch
