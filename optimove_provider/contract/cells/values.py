"""A value of a profile in its three forms: the text of a CSV cell, a JSON value, and one for comparing. No I/O here.

What JSON a datetime is written and read as is documented nowhere. Here an epoch is written as a number and every other
datetime as the text that a CSV file would hold, and both forms are understood when they are read back.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.rules import EPOCH_LOOKS_LIKE_MILLISECONDS

JsonValue = str | int | float | bool


def json_value(attribute: Attribute, cell: str) -> JsonValue:
    """A cell that the attribute's rule accepts, as JSON carries it: numbers, true and false, else text."""
    if attribute.datatype == "bool":
        return cell.lower() == "true"
    if attribute.datatype == "long" or attribute.format == "epoch":
        return int(cell)
    return float(cell) if attribute.datatype == "double" else cell


def comparable(attribute: Attribute, value: Any) -> str:
    """One text for all forms of the same value: a cell as it was written, or JSON as it is read back.

    None and the empty cell give "". A value that is none of the datatype gives its own text.
    """
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    try:
        return _one_form(attribute, text)
    except (ValueError, ArithmeticError):
        return text


def _one_form(attribute: Attribute, text: str) -> str:
    if attribute.datatype == "bool":
        return text.lower()
    if attribute.datatype == "long":
        return str(int(text) if text.lstrip("-").isdecimal() else _whole(text))
    if attribute.datatype == "double":
        return repr(float(text) + 0.0)  # -0.0 is 0.0
    if attribute.datatype == "datetime":
        instant = _instant(text)
        return instant[: len("2022-05-02")] if attribute.format == "yyyy-mm-dd" else instant
    return text


def _whole(text: str) -> int:
    """A whole number in another form, such as 1.0 or 1e3. Raises ValueError."""
    number = Decimal(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def _instant(text: str) -> str:
    """Whole seconds in UTC, from an ISO date or instant, or from epoch seconds or milliseconds."""
    if text.lstrip("-").isdecimal():
        number = int(text)
        seconds = number // 1000 if abs(number) >= EPOCH_LOOKS_LIKE_MILLISECONDS else number
        found = datetime.fromtimestamp(seconds, UTC)
    else:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")
