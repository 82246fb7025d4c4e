"""Python values as Arrow columns: one type a column, from the first row to the last, nothing converted in silence."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.to_json.scalars import JsonText, NoForm, is_plain_double, nested_text, number_text

Values = Sequence[Any]

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a float"),
    (Decimal, "a decimal"),
    (JsonText, "JSON"),
    (str, "text"),
    (UUID, "a UUID"),
    (datetime, "a timestamp"),
    (date, "a date"),
    (time, "a time"),
    (timedelta, "a duration"),
    ((bytes, bytearray, memoryview), "binary"),
    ((Mapping, list, tuple), "nested"),
)
_NUMBERS = ("an integer", "a float", "a decimal")
_WIDER = {frozenset(("an integer", wider)): wider for wider in ("a float", "a decimal")}


class Columns:
    """Makes batches of rows of Python values, and remembers what each column holds.

    Integers may stand beside floats or beside decimals. With `one_number`, as in JSON, all numbers are of one kind.
    """

    def __init__(self, one_number: bool = False) -> None:
        self._one_number = one_number
        self._kinds: dict[str, str] = {}
        self._names: dict[str, None] = {}

    def of_rows(self, rows: Sequence[Mapping[str, Any]], before: int, where: str = "") -> pa.RecordBatch:
        """The same of rows that may lack members: they are null there. A name once seen is a column from then on."""
        self._names.update(dict.fromkeys(name for row in rows for name in row))
        return self.batch({name: [row.get(name) for row in rows] for name in self._names}, before, where)

    def batch(self, columns: Mapping[str, Values], before: int, where: str = "") -> pa.RecordBatch:
        """A batch after `before` rows; `where` begins the errors. A column of nulls has no type yet.

        Raises DataError for a value that no column can hold, or not this one, with its row.
        """
        arrays = {name: self._array(name, values, before, where) for name, values in columns.items()}
        return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))

    def _array(self, name: str, values: Values, before: int, where: str) -> pa.Array:
        kind = known = self._kinds.get(name, "")
        for found in sorted(_kinds(values)):
            kind = self._merged(kind, self._own(found))
        if kind in _MAKERS:
            self._kinds[name] = kind
            try:
                return _MAKERS[kind](values)
            except _UNFIT:
                pass
        elif not kind and not known:
            return pa.nulls(len(values))
        raise self._misfit(name, values, (known, before), where)

    def _own(self, kind: str) -> str:
        return "a number" if self._one_number and kind in _NUMBERS else kind

    @staticmethod
    def _merged(kind: str, other: str) -> str:
        """The kind of a column that holds both; "?" if there is none."""
        if not kind or kind == other:
            return other
        return _WIDER.get(frozenset((kind, other)), "?")

    def _misfit(self, name: str, values: Values, so_far: tuple[str, int], where: str) -> DataError:
        """Which row breaks the column: the first of another kind, or the first that fits nowhere."""
        kind, before = so_far
        for number, value in enumerate(values, before + 1):
            at = f"{where}row {number}, column {name!r}"
            for found in _kinds([value]):
                if found not in _MAKERS:
                    return DataError(f"{at}: no column can hold a {type(value).__name__}: cast it in the query")
                merged = self._merged(kind, self._own(found))
                if merged == "?":
                    return DataError(
                        f"{at}: {value!r:.200} is {found}, but the column held {kind} before: "
                        "cast the column to one type"
                    )
                kind = merged
                try:
                    _MAKERS[kind]([value])
                except _UNFIT as error:
                    return DataError(f"{at}, value {value!r:.200}: {error}")
        return DataError(f"{where}rows {before + 1} to {before + len(values)}, column {name!r} do not fit one column")


def _kinds(values: Values) -> set[str]:
    found = set(map(type, values)) - {type(None)}
    if any(issubclass(one, datetime | time) for one in found):
        return {_kind_of_zone(value) for value in values if value is not None}
    return {_kind(one) for one in found}


def _kind(type_: type) -> str:
    return next((kind for base, kind in _KINDS if issubclass(type_, base)), "?")


def _kind_of_zone(value: Any) -> str:
    kind = _kind(type(value))
    return f"{kind} with a time zone" if isinstance(value, datetime | time) and value.tzinfo else kind


_UNFIT = (NoForm, pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError)


def _of(type_: pa.DataType) -> Callable[[Values], pa.Array]:
    return lambda values: pa.array(values, type_)


def _rendered(values: Values, render: Callable[[Any], Any], type_: pa.DataType) -> pa.Array:
    return pa.array([None if value is None else render(value) for value in values], type_)


def _documents(values: Values) -> pa.Array:
    return _rendered(values, nested_text, pa.json_())


def _numbers(values: Values) -> pa.Array:
    """Numbers as integers of 64 bits, as doubles where these are the same numbers, or else as their digits in JSON."""
    try:
        return _integers(values)
    except (pa.ArrowException, OverflowError):
        if all(value is None or is_plain_double(value) for value in values):
            return _rendered(values, float, pa.float64())
    return _rendered(values, number_text, pa.json_())


def _integers(values: Values) -> pa.Array:
    """Raises ArrowInvalid or OverflowError for other numbers."""
    if any(isinstance(value, float | Decimal) for value in values):
        raise OverflowError("these are not all integers")
    return pa.array(values, pa.int64())


def _exact(values: Values) -> pa.Array:
    """Integers and decimals with every digit."""
    try:
        return _integers(values)
    except (pa.ArrowException, OverflowError):
        return _rendered(values, Decimal, None)


def _floats(values: Values) -> pa.Array:
    if all(value is None or is_plain_double(value) for value in values):
        return _rendered(values, float, pa.float64())
    return _rendered(values, lambda value: Decimal(repr(value)), None)


_MAKERS: dict[str, Callable[[Values], pa.Array]] = {
    "a boolean": _of(pa.bool_()),
    "an integer": _exact,
    "a float": _floats,
    "a decimal": lambda values: _rendered(values, Decimal, None),
    "a number": _numbers,
    "JSON": _of(pa.json_()),
    "text": _of(pa.string()),
    "a UUID": lambda values: _rendered(values, str, pa.string()),
    "a timestamp": _of(pa.timestamp("us")),
    "a timestamp with a time zone": _of(pa.timestamp("us", "UTC")),
    "a date": _of(pa.date32()),
    "a time": _of(pa.time64("us")),
    "a duration": _of(pa.duration("us")),
    "binary": lambda values: _rendered(values, bytes, pa.binary()),
    "nested": _documents,
}
"""By kind. The other kinds have no column."""
