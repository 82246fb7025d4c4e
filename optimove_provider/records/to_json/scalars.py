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
| values of several kinds (`MixedType`) | each as its own kind |
| binary, duration, interval, union | none: cast it in the query |

Years must lie between 0001 and 9999, times within a day. Nothing is nested deeper than `MAX_DEPTH`.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from optimove_provider.records.arrow.calendar import (
    FIRST_DAY,
    LAST_DAY,
    NO_SUCH_TIME,
    NO_SUCH_YEAR,
    NO_WHOLE_DAY,
    PER_SECOND,
    SECONDS_A_DAY,
)
from optimove_provider.records.arrow.floats import EXACT_INTEGERS
from optimove_provider.records.arrow.mixed import MixedType
from optimove_provider.records.arrow.text_arrays import NOT_UNICODE

NOT_FINITE = "NaN and infinities are no JSON numbers"
MAX_DEPTH = 100
"""Ours: lists and objects in each other. What parsers take depends on their stack, so that a retry might differ."""
TOO_DEEP = f"nested deeper than {MAX_DEPTH} lists and objects"
MAX_FIXED_DIGITS = 76
"""A decimal with more digits, or zeros, is written with an exponent. No column of Arrow holds more."""
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class NoForm(ValueError):
    """A value or a type that JSON has no form for; the text says why, and what to do."""


class JsonText(str):
    """Text that is JSON: of a column that holds documents, as its driver got it."""

    __slots__ = ()


class UnfitValue:
    """A value of a driver that has no form, shown as its text: `reason` says why, and what to do in the query."""

    __slots__ = ("reason", "text")

    def __init__(self, text: str, reason: str) -> None:
        self.text, self.reason = text, reason

    def __repr__(self) -> str:
        return self.text


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
    sign, digits, exponent = Decimal(shortest or float.__repr__(value)).normalize().as_tuple()
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
    """All digits, without zeros at the end of a fraction; an exponent only if there would be more than 76 of them."""
    if not value.is_finite():
        raise NoForm(NOT_FINITE)
    value = value.normalize(_EXACT)
    _, digits, exponent = value.as_tuple()
    if max(len(digits) + int(exponent), -int(exponent)) > MAX_FIXED_DIGITS:
        return str(value)
    return format(value, "f") if value else "0"


def integer_text(value: int) -> str:
    """All digits. Raises NoForm if there are more than Python writes."""
    try:
        return int.__repr__(value)
    except ValueError:
        raise NoForm(too_many_digits()) from None


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
        return integer_text(value)
    if is_plain_double(value):
        return float_text(float(value))
    if not value.is_finite():
        raise NoForm(NOT_FINITE)
    return str(value)


def nested_text(value: Any, depth: int = 0) -> str:
    """A Python value, inside of `depth` lists and objects, as JSON text, members in the order of their names.

    Raises NoForm. Half a character is left as it is.
    """
    if value is None:
        return "null"
    for kind, render in _PYTHON:
        if isinstance(value, kind):
            return render(value)
    if isinstance(value, UnfitValue):
        raise NoForm(value.reason)
    if isinstance(value, Mapping):
        return _mapping(value, _deeper(depth))
    if isinstance(value, list | tuple):
        depth = _deeper(depth)
        return "[" + ",".join([nested_text(item, depth) for item in value]) + "]"
    if isinstance(value, np.generic):
        return _numpy_text(value)
    raise NoForm(f"a {type(value).__name__} has no form in JSON: cast it, to text or to a number")


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise NoForm(TOO_DEEP)
    return depth + 1


def _object(members: Iterable[tuple[str, str]]) -> str:
    written = sorted(members)
    for (name, _), (other, _) in pairwise(written):
        if name == other:
            raise NoForm(f"the member {name!r:.200} is there twice")
    return "{" + ",".join(f"{string_text(name)}:{text}" for name, text in written) + "}"


def _mapping(value: Mapping[Any, Any], depth: int) -> str:
    for name in value:
        if not isinstance(name, str):
            raise NoForm(f"the name of a member is no text but a {type(name).__name__}")
    return _object((name, nested_text(item, depth)) for name, item in value.items())


def _numpy_text(value: np.generic) -> str:
    """A number of NumPy with its own digits: a float32 is written as its column would be."""
    if isinstance(value, np.bool_ | np.integer):
        return nested_text(value.item())
    if isinstance(value, np.float16 | np.float32):
        return float_text(float(value), str(value))
    if isinstance(value, np.datetime64) and not np.isnat(value):
        unit, step = np.datetime_data(value.dtype)
        if (unit, step) == ("D", 1):
            return f'"{_day(int(value.astype(np.int64)))}"'
        if unit in PER_SECOND and step == 1:
            return scalar_text(pa.scalar(value))
    raise NoForm(f"a {type(value).__name__} has no form in JSON: cast it, to text or to a number")


def _fraction(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _instant(value: datetime) -> str:
    """In UTC; without an offset it is taken as that. A zone that knows no offset is none."""
    if value != value:  # pandas.NaT is a datetime, and not even itself
        raise NoForm("no instant but a missing one: give None")
    try:
        utc = value if value.utcoffset() is None else value.astimezone(UTC)
    except OverflowError:
        raise NoForm(NO_SUCH_YEAR) from None
    return f'"{_fraction(utc.replace(tzinfo=None).isoformat())}Z"'


def _time(value: time) -> str:
    if value.tzinfo is not None:
        raise NoForm("a time with a time zone, which depends on the day: give an instant")
    return f'"{_fraction(value.isoformat())}"'


_PYTHON: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (bool, lambda value: "true" if value else "false"),
    (JsonText, lambda value: _document(value)),
    (str, lambda value: string_text(value)),
    ((int, float), number_text),
    (Decimal, lambda value: number_text(value)),
    (datetime, _instant),
    (date, lambda value: f'"{value.isoformat()}"'),
    (time, _time),
    (UUID, lambda value: f'"{value}"'),
)


def is_text(type_: pa.DataType) -> bool:
    """Whether a column holds text, in whatever layout."""
    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_))


def is_list(type_: pa.DataType) -> bool:
    """Whether a column holds lists, in whatever layout."""
    views = types.is_list_view(type_) or types.is_large_list_view(type_)
    return bool(views or types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_))


def check_type(type_: pa.DataType, depth: int = 0) -> None:
    """Raise NoForm if JSON has no form for the values of this type."""
    if depth > MAX_DEPTH:
        raise NoForm(TOO_DEEP)
    if types.is_dictionary(type_) or types.is_run_end_encoded(type_) or is_list(type_):
        check_type(type_.value_type, depth + 1)
    elif types.is_struct(type_):
        for field in type_:
            check_type(field.type, depth + 1)
    elif types.is_map(type_) and is_text(type_.key_type):
        check_type(type_.item_type, depth + 1)
    elif not _is_plain(type_):
        raise NoForm(f"the type {type_} has no form in JSON: cast it in the query, to text or to a number")


def _is_plain(type_: pa.DataType) -> bool:
    if isinstance(type_, pa.BaseExtensionType):
        return isinstance(type_, pa.JsonType | pa.UuidType | MixedType)
    tests = (types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, is_text)
    temporal = (types.is_date, types.is_time, types.is_timestamp)
    return any(test(type_) for test in (*tests, *temporal))


def scalar_text(scalar: pa.Scalar) -> str:
    """A value of a column as JSON text. Raises NoForm for one that has none."""
    type_ = scalar.type
    if types.is_dictionary(type_) or types.is_run_end_encoded(type_):
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
    days, rest = (scalar.value, 0) if types.is_date32(scalar.type) else divmod(scalar.value, SECONDS_A_DAY * 1000)
    if rest:
        raise NoForm(NO_WHOLE_DAY)
    return f'"{_day(days)}"'


def _day(days: int) -> str:
    if not FIRST_DAY <= days <= LAST_DAY:
        raise NoForm(NO_SUCH_YEAR)
    return date.fromordinal(days - FIRST_DAY + 1).isoformat()


def _clock(ticks: int, unit: str) -> str:
    """A time of day, given in units since midnight."""
    seconds, rest = divmod(ticks, PER_SECOND[unit])
    if not 0 <= seconds < SECONDS_A_DAY:
        raise NoForm(NO_SUCH_TIME)
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


_ODD_NUMBER = re.compile(r"[eE][+-]?\d{16}|\d{4000}")
"""What a number may have that cannot be read again."""


def check_json(text: str) -> None:
    """Raise NoForm unless the text is JSON that can be read again from a line of JSON, as rejected rows are."""
    number: Callable[[str], Any] = _readable if _ODD_NUMBER.search(text) else str
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=number,
            parse_float=number,
            object_pairs_hook=unique_members,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except json.JSONDecodeError as error:
        raise NoForm(f"the text is not JSON: {error}") from None
    except RecursionError:
        raise NoForm(TOO_DEEP) from None
    except UnicodeEncodeError:
        raise NoForm(NOT_UNICODE) from None
    if text.count("[") + text.count("{") > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise NoForm(TOO_DEEP)


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises NoForm if it names a member twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NoForm("an object names a member twice")
    return found


def _readable(text: str) -> Decimal | int:
    """A number of JSON, with every digit. Raises NoForm for what no computer counts with."""
    if not text.removeprefix("-").isdigit():
        return exact_number(text)
    try:
        return int(text)
    except ValueError:
        raise NoForm(too_many_digits()) from None


def exact_number(text: str) -> Decimal:
    """A number of JSON with a fraction or an exponent. Raises NoForm for an exponent that nothing can be done with."""
    try:
        return Decimal(text)
    except ArithmeticError:
        raise NoForm(f"the number {text!r:.100} has an exponent that is beyond all computing") from None


def too_many_digits() -> str:
    """Why an integer is refused that Python neither reads nor writes."""
    return f"an integer of more than {sys.get_int_max_str_digits()} digits"


def _document(text: str) -> str:
    check_json(text)
    return str(text)


def refused_text(value: Any) -> str | None:
    """A value that has no form as JSON that is refused when it is read: NaN stays NaN, half a character half a one.

    None if there is no such JSON: what is read must not be taken for what it was not.
    """
    try:
        text = json.dumps(value, default=_plain_double)
        nested_text(json.loads(text, parse_float=Decimal)).encode()
    except (NoForm, UnicodeEncodeError):
        return text
    except Exception:  # a foreign object, and what it raises
        return None
    return None


def refused_value(scalar: pa.Scalar) -> str | None:
    """The same of a value of a column."""
    if isinstance(scalar.type, MixedType):
        return str(text) if (text := scalar.value["json"].as_py()) is not None else None
    try:
        return refused_text(scalar.as_py())
    except Exception:  # Python has no such value
        return None


def _plain_double(value: Any) -> float:
    if not isinstance(value, Decimal) or (value.is_finite() and not is_plain_double(value)):
        raise TypeError(f"a {type(value).__name__}")
    return float(value) if not value.is_snan() else math.nan


def depth_of(value: Any) -> int:
    """How many lists and objects of a parsed document are in each other."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return depth


def _text_of_mixed(scalar: pa.ExtensionScalar) -> str:
    forms = scalar.value
    if forms["no_json"].is_valid:
        raise NoForm(forms["no_json"].as_py())
    return str(forms["json"].as_py())


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
    (lambda type_: isinstance(type_, MixedType), _text_of_mixed),
)
