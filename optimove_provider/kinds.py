"""What one option may be: a flag, a share, a number, a span or a word; as a DAG states it, and as a template gives it.

DAG files import this module: standard library and the contract's errors only.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from optimove_provider.contract.wire.errors import SettingsError


def is_template(value: Any) -> bool:
    """Whether Airflow makes the value when a task runs: a text with Jinja in it, another task's output, a function."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    return not isinstance(value, type) and (callable(value) or callable(getattr(value, "resolve", None)))


@dataclass(frozen=True, slots=True)
class Kind:
    """What one option may be; `expected` says it in errors.

    `normal` gives a value its one form, `parse` makes a value of a text; both raise ValueError. `optional`: a DAG may
    say None. `off`: where that is, a rendered text says "off".
    """

    expected: str
    normal: Callable[[Any], Any]
    parse: Callable[[str], Any]
    optional: bool = False
    off: bool = False

    def literal(self, name: str, given: Any) -> Any:
        """The value as a DAG states it; a template stays as it is. Raises SettingsError."""
        if is_template(given) or (given is None and self.optional):
            return given
        try:
            return self.normal(given)
        except (ValueError, OverflowError):
            raise SettingsError(f"{name}={given!r:.200}: expected {self.expected}") from None

    def rendered(self, name: str, now: Any, given: Any) -> Any:
        """The value at execute, of an option that the DAG stated as `given`. Raises SettingsError."""
        return self.read(name, now) if is_template(given) else self.literal(name, now)

    def read(self, name: str, text: Any) -> Any:
        """The value that a template gave: a text, or any value where Airflow renders natively. Raises SettingsError."""
        bare = text.strip() if isinstance(text, str) else text
        if bare is None or (isinstance(bare, str) and bare in ("", "None")):
            raise SettingsError(
                f"{name} was rendered as {text!r}, so a value that its template names is missing: expected {self._told}"
            )
        if self.off and bare == "off":
            return None
        try:
            return self.normal(self.parse(bare) if isinstance(bare, str) else bare)
        except (ValueError, OverflowError):
            raise SettingsError(f"{name}={text!r:.200}: expected {self._told}") from None

    @property
    def _told(self) -> str:
        return f'{self.expected}; a template says "off" for None' if self.off else self.expected


class Fields:
    """A mapping of names to single values, such as a stamp; None for none. Each value, or all of it, may be a template.

    What values can travel is for the room of the records to say, when the task runs.
    """

    _expected = "a mapping of names to texts, numbers or truth values, or None"

    def literal(self, name: str, given: Any) -> Any:
        """The mapping as a DAG states it, as a plain dict; a template stays as it is. Raises SettingsError."""
        if given is None or is_template(given):
            return given
        if not isinstance(given, Mapping) or not all(isinstance(field, str) and field for field in given):
            raise SettingsError(f"{name}={given!r:.200}: expected {self._expected}")
        for field, value in given.items():
            if value is None or isinstance(value, Mapping | list | tuple | set):
                raise SettingsError(f"{name}={{{field!r}: {value!r:.200}}}: expected a text, a number or a truth value")
        return dict(given)

    def rendered(self, name: str, now: Any, given: Any) -> Any:
        """The mapping at execute, of one that the DAG stated as `given`. Raises SettingsError."""
        if is_template(given):
            return self._read(name, now)
        found = self.literal(name, now)
        for field in [field for field, value in (given or {}).items() if is_template(value)]:
            value = found[field]
            if value == given[field] or (isinstance(value, str) and value.strip() in ("", "None")):
                raise SettingsError(
                    f"{name}={{{field!r}: {given[field]!r:.200}}} was rendered as {value!r:.200}, so a value that its "
                    "template names is missing: expected a text, a number or a truth value"
                )
        return found

    def _read(self, name: str, now: Any) -> Any:
        if now is None or (isinstance(now, str) and now.strip() in ("", "None")):
            raise SettingsError(
                f"{name} was rendered as {now!r}, so a value that its template names is missing: expected a mapping of "
                "names to texts, numbers or truth values"
            )
        try:
            return self.literal(name, json.loads(now) if isinstance(now, str) else now)
        except ValueError:
            raise SettingsError(f"{name}={now!r:.200}: expected {self._expected}, as JSON") from None


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:  # a span of NumPy's says that it is a whole number
        return False


def _number(value: Any) -> int | float:
    """A number of Python's, NumPy's or a database's, as one of Python's."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal) or not _is_finite(value):
        raise ValueError(value)
    return int(value) if isinstance(value, Integral) else float(str(value))


_TEXT_OF_NUMBER = re.compile(r"[+-]?(\d+|\d*\.\d+|\d+\.)(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)


def _parse_number(text: str) -> int | float:
    if not _TEXT_OF_NUMBER.fullmatch(text):
        raise ValueError(text)
    try:
        return int(text)
    except ValueError:
        return float(text)


def _share(value: Any) -> float:
    share = _number(value)
    if not 0 <= share <= 1:
        raise ValueError(value)
    return float(share)


def _whole(least: int, most: float = math.inf) -> Callable[[Any], int]:
    def whole(value: Any) -> int:
        number = _number(value)
        if not least <= number <= most or number != int(number):
            raise ValueError(value)
        return int(number)

    return whole


def _count_or_share(value: Any) -> int | float:
    number = _number(value)
    return _share(number) if isinstance(number, float) and number < 1 else _whole(0)(number)


def _seconds(value: Any) -> timedelta:
    span = value if isinstance(value, timedelta) else timedelta(seconds=_number(value))
    if span < timedelta(0):
        raise ValueError(value)
    return span


_DAY = timedelta(days=1)


def _grain(value: Any) -> timedelta:
    grain = _seconds(value)
    if not grain or (_DAY % grain if grain < _DAY else grain % _DAY):
        raise ValueError(value)
    return grain


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


_READ_BACK = ("sample", "all")


def _read_back(value: Any) -> str | float:
    share = value if value in _READ_BACK else _share(value)
    if share == 0:
        raise ValueError(value)
    return str(share) if isinstance(share, str) else share


def one_of(words: Sequence[str]) -> Kind:
    """One of some words."""

    def word(value: Any) -> str:
        if value not in words:
            raise ValueError(value)
        return str(value)

    return Kind(" or ".join(map(repr, words)), word, str)


def whole_number(least: int, optional: str = "", most: int | None = None, off: bool = False) -> Kind:
    """A whole number; `optional` says what None means, where a DAG may say it."""
    upper = "on" if most is None else f"to {most}"
    expected = f"a whole number from {least} {upper}" + (f", or None {optional}" if optional else "")
    return Kind(
        expected, _whole(least, math.inf if most is None else most), _parse_number, optional=bool(optional), off=off
    )


_FLAGS = {"true": True, "True": True, "false": False, "False": False}
FLAG = Kind("True or False", _flag, _FLAGS.get)
SHARE = Kind("a share from 0 to 1, or None to switch the guard off", _share, _parse_number, optional=True, off=True)
SPAN = Kind("a timedelta or seconds, not negative", _seconds, _parse_number)
OPTIONAL_SPAN = Kind(
    "a timedelta or seconds, not negative, or None for never", _seconds, _parse_number, optional=True, off=True
)
READ_BACK = Kind(
    "'sample', 'all', or a share of the rows above 0, up to 1",
    _read_back,
    lambda text: text if text in _READ_BACK else _parse_number(text),
)
GRAIN = Kind("whole days, or what divides a day, such as an hour: a timedelta or seconds", _grain, _parse_number)
MAX_REJECTED = Kind("a whole number of rows, or a share of them below 1", _count_or_share, _parse_number)
ANY_REJECTED = Kind(f"{MAX_REJECTED.expected}, or None for any number", _count_or_share, _parse_number, optional=True)
LIMIT = Kind("a whole number of rows from 1 on, or None for all", _whole(1), _parse_number, optional=True, off=True)
LONGEST_TTL_SECONDS = 100_000_000_000
"""3000 years: what is added to an instant must stay within the calendar."""
TTL_SECONDS = whole_number(1, "for never", LONGEST_TTL_SECONDS)


_KEY_NUMBER = _whole(-(1 << 63), (1 << 63) - 1)


def _keys(value: Any) -> list[str | int]:
    found = [value] if isinstance(value, str | int) else value
    if not isinstance(found, list | tuple | set | frozenset):
        raise ValueError(value)
    keys = [one if isinstance(one, str) else _KEY_NUMBER(one) for one in found]
    if any(one == "" for one in keys):
        raise ValueError(value)
    return list({str(one): one for one in keys}.values())


def _parse_keys(text: str) -> Any:
    """A JSON list, or one key. What looks like a list, and is none of JSON, is no key."""
    return json.loads(text) if text.startswith("[") else text


KEYS = Kind(
    "keys, texts or whole numbers, or one of them; a template gives one, or a JSON list", _keys, _parse_keys, True
)

_TABLE = re.compile(r"(?:[a-z_][a-z0-9_]{0,62}\.){0,2}[a-z_][a-z0-9_]{0,49}", re.ASCII | re.IGNORECASE)


def _name_of_table(value: Any) -> str:
    if not isinstance(value, str) or not _TABLE.fullmatch(value):
        raise ValueError(value)
    return value


def _name_of_connection(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value


TABLE = Kind(
    "the name of a table, or schema.table: letters, digits and _, and not a digit first; at most 50 characters",
    _name_of_table,
    str,
)
FIELDS = Fields()
CONN_ID = Kind("the id of a connection of Airflow", _name_of_connection, str)
