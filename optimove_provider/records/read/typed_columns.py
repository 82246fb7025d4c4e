"""Python values as Arrow columns. Nothing is converted in silence, and no value harms another.

Values of one kind make a column of one type, which is fast. Where they are of several kinds, or one of them has no
form, each becomes what it would become alone (`MixedType`): the encoder rejects the rows of those that have none.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from optimove_provider.records.arrow.floats import EXACT_INTEGERS
from optimove_provider.records.arrow.mixed import mixed_column
from optimove_provider.records.read.values import Value, forms_of
from optimove_provider.records.rows import Rows, Unread, of_values, small_batches
from optimove_provider.records.to_json.scalars import (
    JsonText,
    decimal_text,
    is_plain_double,
    nested_text,
    number_text,
)

Values = Sequence[Value]
Row = Mapping[str, Any]


class Columns:
    """Makes batches of rows of Python values. A name once seen is a column from then on.

    With `one_number`, as in JSON, all numbers are of one kind, and equal numbers have one form.
    """

    def __init__(self, one_number: bool = False) -> None:
        self._one_number = one_number
        self._names: dict[str, None] = {}

    def of_items(self, items: Sequence[Row | Unread]) -> Rows:
        """A batch of the rows, which may lack members, in parts: what could not be read comes in its place."""
        rows = [item for item in items if not isinstance(item, Unread)]
        batch = self.of_rows(rows)
        taken = end = 0
        for item in items:
            if not isinstance(item, Unread):
                end += 1
                continue
            if end > taken:
                yield from small_batches(batch.slice(taken, end - taken))
            taken = end
            yield item
        if end > taken:
            yield from small_batches(batch.slice(taken))

    def of_rows(self, rows: Sequence[Row]) -> pa.RecordBatch:
        """A batch of rows that may lack members: they are null there."""
        columns = _columns(rows)
        self._names.update(dict.fromkeys(columns))
        none = pa.nulls(len(rows))
        arrays = [self._array(columns[name]) if name in columns else none for name in self._names]
        return of_values(pa.RecordBatch.from_arrays(arrays, names=list(self._names)))

    def batch(self, columns: Mapping[str, Values]) -> pa.RecordBatch:
        """A batch of columns, of which each holds anything. A column of nulls has no type."""
        arrays = [self._array(values) for values in columns.values()]
        return of_values(pa.RecordBatch.from_arrays(arrays, names=list(columns)))

    def _array(self, values: Values) -> pa.Array:
        kinds = frozenset(map(type, values)) - {type(None)}
        if not kinds:
            return pa.nulls(len(values))
        with suppress(Exception):  # whatever one of the values raises: each is looked at alone then
            return self._maker(kinds)(values)
        number = number_text if self._one_number else decimal_text
        return mixed_column([forms_of(value, number) for value in values])

    def _maker(self, kinds: frozenset[type]) -> Callable[[Values], pa.Array]:
        if kinds <= _DOCUMENTS:
            return _documents
        return _numbers if self._one_number and kinds <= _NUMBERS else _MAKERS[kinds]


def _columns(rows: Sequence[Row]) -> dict[str, Values]:
    """The values of each member that any row has; None where a row lacks it."""
    names = dict.fromkeys(name for row in rows for name in row)
    if len(names) * len(rows) < 4 * sum(map(len, rows)):
        return {name: [row.get(name) for row in rows] for name in names}
    few: dict[str, list[Value]] = {name: [None] * len(rows) for name in names}  # to ask each row for all takes longer
    for number, row in enumerate(rows):
        for name, value in row.items():
            few[name][number] = value
    return dict(few)


class _Several(ValueError):
    """The values have no type together."""


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
    if not {float, Decimal}.isdisjoint(map(type, values)):
        raise OverflowError("these are not all integers")
    return pa.array(values, pa.int64())


def _exact(values: Values) -> pa.Array:
    """Integers and decimals with every digit."""
    try:
        return _integers(values)
    except (pa.ArrowException, OverflowError):
        return _rendered(values, Decimal, None)


def _floats(values: Values) -> pa.Array:
    if any(isinstance(value, int) and abs(value) >= EXACT_INTEGERS for value in values):
        raise _Several("an integer that may be no double")
    return pa.array(values, pa.float64())


def _instants(values: Values) -> pa.Array:
    """With a zone or without, but not both. Arrow drops the parts of a second of an offset, should there be any."""
    offsets = {value.utcoffset() for value in values if value is not None}
    if (None in offsets and len(offsets) > 1) or any(offset and offset.microseconds for offset in offsets):
        raise _Several("instants of several kinds")
    return pa.array(values, pa.timestamp("us", None if None in offsets else "UTC"))


def _times(values: Values) -> pa.Array:
    if any(value is not None and value.tzinfo for value in values):
        raise _Several("a time with a zone")
    return pa.array(values, pa.time64("us"))


_NUMBERS = frozenset({int, float, Decimal})
_DOCUMENTS = frozenset({dict, list, tuple})
_MAKERS: dict[frozenset[type], Callable[[Values], pa.Array]] = {
    frozenset({bool}): _of(pa.bool_()),
    frozenset({int}): _exact,
    frozenset({Decimal}): _exact,
    frozenset({int, Decimal}): _exact,
    frozenset({float}): _of(pa.float64()),
    frozenset({int, float}): _floats,
    frozenset({JsonText}): _of(pa.json_()),
    frozenset({str}): _of(pa.string()),
    frozenset({UUID}): lambda values: _rendered(values, str, pa.string()),
    frozenset({datetime}): _instants,
    frozenset({date}): _of(pa.date32()),
    frozenset({time}): _times,
}
"""By the exact types of the values. Their subclasses are looked at one by one, as they may be more than their base."""
