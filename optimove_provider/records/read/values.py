"""One Python value, whatever it is, as what it becomes in JSON and in CSV. For `typed_columns`, and for profiles."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from optimove_provider.contract.cells.rules import plain_digits
from optimove_provider.records.arrow.floats import inexact
from optimove_provider.records.arrow.mixed import NESTED, Forms, MixedType
from optimove_provider.records.arrow.shown import MAX_CHARACTERS
from optimove_provider.records.arrow.text_arrays import NOT_UNICODE
from optimove_provider.records.to_json.scalars import (
    JsonText,
    NoForm,
    UnfitValue,
    decimal_text,
    nested_text,
    number_text,
    refused_text,
)

Value = Any
"""Anything that a driver or a DAG gives."""
_DAYS = np.dtype("datetime64[D]")
NO_CELL = "a time has no form in CSV: cast it to text"


def forms_of(value: Value, number: Callable[[Decimal], str] = decimal_text) -> Forms | None:
    """What a value becomes, or why it has no form; None for None. `number` writes decimals."""
    if value is None:
        return None
    try:
        text = number(value) if isinstance(value, Decimal) else nested_text(value)
        text.encode()
        is_float = float | np.floating | (Decimal if number is number_text else float)  # JSON has no decimals
        return _with_cell(value, text, inexact(value) if isinstance(value, is_float) else None)
    except UnicodeEncodeError:
        reason = NOT_UNICODE
    except NoForm as error:
        reason = str(error)
    except Exception as error:  # a foreign object, and what it raises
        reason = f"a {type(value).__name__} that cannot be read: {type(error).__name__}"
    return Forms(refused_text(value), shown_value(value), reason, reason)


def _with_cell(value: Value, text: str, no_id: str | None) -> Forms:
    value = _of_python(value) if isinstance(value, np.datetime64) else value
    if isinstance(value, datetime):
        return Forms(text, text[1:-1], instant=_microseconds(value))
    if isinstance(value, date | UUID):
        return Forms(text, text[1:-1])
    if isinstance(value, time):
        return Forms(text, text[1:-1], no_cell=NO_CELL)
    if isinstance(value, Mapping | list | tuple):
        return Forms(text, text, no_cell=NESTED)
    if isinstance(value, JsonText):
        return _document(text)
    if isinstance(value, str):
        return Forms(text, str.__str__(value))  # of an enum's member str() would give its name
    if isinstance(value, int | float | Decimal | np.number):
        return Forms(text, plain_digits(text), no_id=no_id)
    return Forms(text, text[1:-1] if isinstance(value, np.datetime64) else text)


def _document(text: str) -> Forms:
    """JSON as a database has it, which may be no more than a number or a text."""
    begins = text.lstrip()[0]
    if begins in "-0123456789" and not text.strip().removeprefix("-").isdigit():
        return Forms(text, plain_digits(text), no_id=inexact(float(text)))
    return Forms(text, text, no_cell=NESTED if begins in "[{" else None)


def _of_python(value: np.datetime64) -> Value:
    """The same as a date or a datetime; as it is if it has parts of a microsecond. It is within their years."""
    if value.dtype == _DAYS:
        return value.item()
    rounded = value.astype("datetime64[us]")
    return rounded.item() if rounded == value else value


def _microseconds(value: datetime) -> datetime | None:
    """The instant in UTC, without a zone; None if it has parts of a microsecond, which a datetime has no place for."""
    if getattr(value, "nanosecond", 0):
        return None
    utc = value if value.utcoffset() is None else value.astimezone(UTC)
    return datetime.combine(utc.date(), utc.time())


def python_values(column: pa.Array) -> list[Value]:
    """The values of a column, of which `forms_of` makes what the column would become."""
    if isinstance(column.type, pa.JsonType):
        return [None if text is None else JsonText(text) for text in column.to_pylist()]
    if isinstance(column.type, MixedType):
        return list(map(_value_of_mixed, column))
    if types.is_float16(column.type) or types.is_float32(column.type):
        # As a double it would have other digits.
        return [None if value is None else float(str(np.float32(value))) for value in column.to_pylist()]
    values: list[Value] = column.to_pylist()
    return values


def _value_of_mixed(scalar: pa.ExtensionScalar) -> Value:
    value = scalar.as_py()
    if not scalar.is_valid or (reason := scalar.value["no_cell"].as_py()) is None:
        return value
    return UnfitValue(repr(value), reason)


def shown_value(value: Value) -> str:
    """A value for people, cut."""
    try:
        shown = repr(value)[:MAX_CHARACTERS]
    except Exception:  # a foreign object, and what it raises
        shown = f"a {type(value).__name__}"
    return shown.encode(errors="backslashreplace").decode()


def is_unicode(text: str) -> bool:
    """Whether a text has no half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
