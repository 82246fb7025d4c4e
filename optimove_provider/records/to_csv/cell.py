"""A single value as the text of a CSV cell; `write` does the same for whole columns."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from optimove_provider.contract.cells.rules import plain_digits


def csv_value(value: Any) -> str:
    """The text of a cell: empty for null, a number in plain digits, a date, an instant in UTC with Z (no zone: UTC).

    Raises ValueError, which says why, for a value that has none.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, date):  # a datetime is one too
        return _instant(value) if isinstance(value, datetime) else value.isoformat()
    raise ValueError(f"a {type(value).__name__} has no form in CSV: cast it to text")


def _number(value: int | float | Decimal) -> str:
    if not math.isfinite(value):
        raise ValueError("NaN and infinities are no numbers of CSV or JSON: give None")
    if isinstance(value, float):
        value = float(value)  # NumPy's is one too, and has another repr
    return plain_digits(str(value) if isinstance(value, Decimal) else repr(value))


def _instant(value: datetime) -> str:
    utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return f"{utc.isoformat()}Z"
