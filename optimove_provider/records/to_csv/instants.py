"""Columns of instants as cells, all of them within the years 0001 to 9999."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.calendar import PER_SECOND, SECONDS_A_DAY
from optimove_provider.records.arrow.dates_and_times import timestamp_texts
from optimove_provider.records.arrow.text_arrays import numbers, valid, without
from optimove_provider.records.arrow.types import Integers, Mask


def zulu(column: pa.TimestampArray) -> pa.StringArray:
    """2022-05-02T10:10:59Z, and what is less than a second as a fraction before the Z."""
    text = replace(timestamp_texts(column), begin="", end="Z").whole()
    return without(text, ~valid(column)) if column.null_count else text


def midnights(column: pa.TimestampArray) -> pa.Array:
    """2022-05-02 for midnights; other instants as `zulu` writes them."""
    values, per_day = numbers(column, np.int64), SECONDS_A_DAY * PER_SECOND[column.type.unit]
    days = values // per_day
    return _unless(values != days * per_day, _integers(days.astype(np.int32), column).cast(pa.date32()), column)


def epochs(column: pa.TimestampArray, milliseconds: bool) -> pa.Array:
    """Integers, or milliseconds, since 1970; instants with a fraction of them as `zulu` writes them."""
    values, per_second = numbers(column, np.int64), PER_SECOND[column.type.unit]
    per_unit = 1000 if milliseconds else 1
    if per_second <= per_unit:
        return _integers(values * (per_unit // per_second), column)
    ticks = per_second // per_unit
    return _unless(values % ticks != 0, _integers(values // ticks, column), column)


def _integers(values: Integers, column: pa.Array) -> pa.Array:
    return pa.array(values, mask=~valid(column))


def _unless(odd: Mask, plain: pa.Array, column: pa.TimestampArray) -> pa.Array:
    """The plain cells, but where they do not say everything the full form, which a validator will name."""
    return pc.if_else(pa.array(odd), zulu(column), plain.cast(pa.string())) if odd.any() else plain
