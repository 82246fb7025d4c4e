"""The JSON form of every type, value by value: slow, and what `encode` is held to.

| type | in JSON |
| --- | --- |
| null | left out, written or refused at the top, as `nulls=` says; written inside of other values |
| boolean | true, false |
| integers, signed or not | all digits |
| float, double | the shortest number that reads back the same; a whole one below 2^53 has all its digits, -0.0 is 0; |
| | NaN and infinities have none |
| decimal | all digits, without zeros at the end of a fraction: 1.5 for 1.50, as scales differ from batch to batch |
| text of any kind, dictionary of text | a string; every character but controls, quotes and backslashes as it is |
| date | "2022-05-02" |
| timestamp | "2022-05-02T10:10:59Z" in UTC, as which one without a zone is taken; "...59.5Z" if there is a fraction |
| time | "10:10:59", with a fraction as above |
| UUID | "01234567-89ab-cdef-0123-456789abcdef" |
| list of any kind | [...] |
| struct | {...}, members in the order of their names |
| map with text as keys | the same; a key that is there twice has no form |
| JSON (`pa.json_()`) | its text, as it is |
| binary, duration, interval, union | none: cast it in the query |

Years must lie between 0001 and 9999.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.types as types

from optimove_provider.records.arrow.floats import EXACT_INTEGERS

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SECONDS_A_DAY = 86_400
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, in days since 1970."""
NOT_FINITE = "NaN and infinities are no JSON numbers"
NO_SUCH_YEAR = "the year is not between 0001 and 9999"
NOT_UNICODE = "text that is not valid Unicode"


class NoForm(ValueError):
    """A value or a type that JSON has no form for; the text says why, and what to do."""


class JsonText(str):
    """Text that is JSON: of a column that holds documents, as its driver got it."""

    __slots__ = ()


def string_text(value: str) -> str:
    """A string in quotes."""
    return json.dumps(value, ensure_ascii=False)


def float_text(value: float, shortest: str | None = None) -> str:
    """The shortest digits (those of `shortest` for a float that is no double).

    Whole numbers below 2^53 and what lies between 1e-6 and 1e10 are written without an exponent.
    """
    if not math.isfinite(value):
        raise NoForm(NOT_FINITE)
    if value.is_integer() and abs(value) < EXACT_INTEGERS:
        return str(int(value))
    sign, digits, exponent = Decimal(shortest or repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - it is finite
    text = "".join(map(str, digits))
    point = len(text) + exponent
    if -6 < point <= 0:
        text = "0." + "0" * -point + text
    elif 0 < point <= 10:
        text = f"{text[:point]}.{text[point:]}"
    else:
        text = f"{text[0]}.{text[1:]}".removesuffix(".") + f"e{point - 1:+d}"
    return "-" + text if sign else text


def decimal_text(value: Decimal) -> str:
    """All digits, without an exponent, and without zeros at the end of a fraction."""
    if not value.is_finite():
        raise NoForm(NOT_FINITE)
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"


def is_plain_double(value: int | float | Decimal) -> bool:
    """Whether a double is the same number, and is written with the same digits."""
    if isinstance(value, float):
        return True
    if isinstance(value, int):
        return abs(value) < EXACT_INTEGERS
    as_float = float(value)
    return math.isfinite(as_float) and Decimal(repr(as_float)) == value


def number_text(value: int | float | Decimal) -> str:
    """A number that was JSON before: as the double that it is, or else with all its digits."""
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, int):
        return str(value)
    if is_plain_double(value):
        return float_text(float(value))
    if not value.is_finite():
        raise NoForm(NOT_FINITE)
    return str(value)


def nested_text(value: Any) -> str:
    """A Python value as JSON text, members in the order of their names. Raises NoForm."""
    if value is None:
        return "null"
    for kind, render in _PYTHON:
        if isinstance(value, kind):
            return render(value)
    raise NoForm(f"a {type(value).__name__} has no form in JSON: cast it in the query")


def _object(members: Iterable[tuple[str, str]]) -> str:
    written = sorted(members)
    if any(one[0] == other[0] for one, other in pairwise(written)):
        raise NoForm("a member is there twice")
    return "{" + ",".join(f"{string_text(name)}:{text}" for name, text in written) + "}"


def _mapping(value: Mapping[Any, Any]) -> str:
    for name in value:
        if not isinstance(name, str):
            raise NoForm(f"the name {name!r:.200} of a member is no text")
    return _object((name, nested_text(item)) for name, item in value.items())


def _array(value: Sequence[Any]) -> str:
    return "[" + ",".join(map(nested_text, value)) + "]"


def _fraction(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _instant(value: datetime) -> str:
    utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return f'"{_fraction(utc.isoformat())}Z"'


_PYTHON: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (bool, lambda value: "true" if value else "false"),
    (JsonText, str),
    (str, lambda value: string_text(value)),
    ((int, float), number_text),
    (Decimal, lambda value: number_text(value)),
    (datetime, _instant),
    (date, lambda value: f'"{value.isoformat()}"'),
    (time, lambda value: f'"{_fraction(value.isoformat())}"'),
    (UUID, lambda value: f'"{value}"'),
    (Mapping, _mapping),
    ((list, tuple), _array),
)


def is_text(type_: pa.DataType) -> bool:
    """Whether a column holds text, in whatever layout."""
    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_))


def is_list(type_: pa.DataType) -> bool:
    """Whether a column holds lists, in whatever layout."""
    views = types.is_list_view(type_) or types.is_large_list_view(type_)
    return bool(views or types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_))


def check_type(type_: pa.DataType) -> None:
    """Raise NoForm if JSON has no form for the values of this type."""
    if types.is_dictionary(type_) or types.is_run_end_encoded(type_) or is_list(type_):
        check_type(type_.value_type)
    elif types.is_struct(type_):
        for field in type_:
            check_type(field.type)
    elif types.is_map(type_) and is_text(type_.key_type):
        check_type(type_.item_type)
    elif not _is_plain(type_):
        raise NoForm(f"the type {type_} has no form in JSON: cast it in the query, to text or to a number")


def _is_plain(type_: pa.DataType) -> bool:
    if isinstance(type_, pa.BaseExtensionType):
        return isinstance(type_, pa.JsonType | pa.UuidType)
    tests = (types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, is_text)
    temporal = (types.is_date, types.is_time, types.is_timestamp)
    return any(test(type_) for test in (*tests, *temporal))


def scalar_text(scalar: pa.Scalar) -> str:
    """A value of a column as JSON text. Raises NoForm for one that has none."""
    type_ = scalar.type
    if types.is_dictionary(type_):
        return scalar_text(scalar.value) if scalar.is_valid else "null"
    if not scalar.is_valid:
        return "null"
    for test, render in _ARROW:
        if test(type_):
            return render(scalar)
    return nested_text(scalar.as_py())  # booleans, integers, UUIDs


def _text_of_struct(scalar: pa.StructScalar) -> str:
    return _object((field.name, scalar_text(scalar[index])) for index, field in enumerate(scalar.type))


def _text_of_map(scalar: pa.MapScalar) -> str:
    entries = scalar.values
    if entries is None:
        return "null"
    return _object((_text(entry[0]), scalar_text(entry[1])) for entry in entries)


def _text_of_list(scalar: pa.ListScalar) -> str:
    return "[" + ",".join(map(scalar_text, scalar.values)) + "]"


def _text(scalar: pa.StringScalar) -> str:
    try:
        return str(scalar.as_py())
    except UnicodeDecodeError:
        raise NoForm(NOT_UNICODE) from None


def _text_of_float(scalar: pa.DoubleScalar) -> str:
    if types.is_float64(scalar.type):
        return float_text(scalar.as_py())
    single = scalar.cast(pa.float32())
    return float_text(single.as_py(), str(_numpy_single(single)))


def _numpy_single(single: pa.FloatScalar) -> Any:
    return pa.array([single]).to_numpy()[0]


def _text_of_date(scalar: pa.Date32Scalar) -> str:
    days = scalar.value if types.is_date32(scalar.type) else scalar.value // (SECONDS_A_DAY * 1000)
    return f'"{_day(days)}"'


def _day(days: int) -> str:
    if not FIRST_DAY <= days <= LAST_DAY:
        raise NoForm(NO_SUCH_YEAR)
    return date.fromordinal(days - FIRST_DAY + 1).isoformat()


def _clock(ticks: int, unit: str) -> str:
    """A time of day, given in units since midnight."""
    seconds, rest = divmod(ticks, PER_SECOND[unit])
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return _fraction(f"{text}.{rest:0{len(str(PER_SECOND[unit])) - 1}}") if rest else text


def _text_of_timestamp(scalar: pa.TimestampScalar) -> str:
    unit = scalar.type.unit
    days, ticks = divmod(scalar.value, SECONDS_A_DAY * PER_SECOND[unit])
    return f'"{_day(days)}T{_clock(ticks, unit)}Z"'


def _text_of_json(scalar: pa.ExtensionScalar) -> str:
    text = _text(scalar.value)
    check_json(text)
    return text


def _refuse_constant(name: str) -> None:
    raise NoForm(NOT_FINITE)


def check_json(text: str) -> None:
    """Raise NoForm unless the text is JSON."""
    try:
        json.loads(text, parse_constant=_refuse_constant, parse_int=str, parse_float=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise NoForm(f"the text is not JSON: {error}") from None


_ARROW: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], str]], ...] = (
    (is_text, lambda scalar: string_text(_text(scalar))),
    (types.is_floating, _text_of_float),
    (types.is_decimal, lambda scalar: decimal_text(scalar.as_py())),
    (types.is_date, _text_of_date),
    (types.is_timestamp, _text_of_timestamp),
    (types.is_time, lambda scalar: f'"{_clock(scalar.value, scalar.type.unit)}"'),
    (types.is_struct, _text_of_struct),
    (types.is_map, _text_of_map),
    (is_list, _text_of_list),
    (lambda type_: isinstance(type_, pa.JsonType), _text_of_json),
)
