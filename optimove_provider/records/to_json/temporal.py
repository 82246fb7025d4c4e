"""Columns of dates and times as JSON text, for `columns`."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from optimove_provider.records.arrow.text_arrays import Texts, indices, numbers, valid
from optimove_provider.records.arrow.types import Integers, Mask
from optimove_provider.records.to_json.scalars import FIRST_DAY, LAST_DAY, NO_SUCH_YEAR, PER_SECOND, SECONDS_A_DAY

FIRST_LISTED, LISTED_DAYS = -25_567, 55_152
"""The days from 1900 to 2050."""


def date_texts(column: pa.Array) -> Texts:
    column = column if types.is_date32(column.type) else pc.cast(column, pa.date32(), safe=False)
    days = numbers(column, np.int32)
    bad = (days < FIRST_DAY) | (days > LAST_DAY)
    return Texts((_days(days, _nulls(column, bad)),), '"', '"', dict.fromkeys(indices(bad), NO_SUCH_YEAR))


def _nulls(column: pa.Array, bad: Mask) -> Mask | None:
    """Where a value is null or bad; None means nowhere."""
    return ~valid(column) | bad if column.null_count or bad.any() else None


def _days(days: npt.NDArray[np.int32], nulls: Mask | None) -> pa.StringArray:
    """Days as text, null where they are."""
    if int(days.min(initial=0)) >= FIRST_LISTED and int(days.max(initial=0)) < FIRST_LISTED + LISTED_DAYS:
        return _calendar().take(pa.array(days - np.int32(FIRST_LISTED), mask=nulls))
    return pa.array(days, mask=nulls).cast(pa.date32()).cast(pa.string())


@cache
def _calendar() -> pa.StringArray:
    """To look these days up takes half the time of writing them."""
    days = np.arange(FIRST_LISTED, FIRST_LISTED + LISTED_DAYS, dtype=np.int32)
    return pa.array(days).cast(pa.date32()).cast(pa.string())


@cache
def _clock(begin: str) -> pa.StringArray:
    """The seconds of a day."""
    seconds = pa.array(np.arange(SECONDS_A_DAY, dtype=np.int32)).cast(pa.time32("s")).cast(pa.string())
    return pc.binary_join_element_wise(begin, seconds, "")


def timestamp_texts(column: pa.Array) -> Texts:
    ticks = numbers(column, np.int64)
    per_second = PER_SECOND[column.type.unit]
    days = ticks // (SECONDS_A_DAY * per_second)  # NumPy's divmod takes far longer
    ticks_of_day = ticks - days * (SECONDS_A_DAY * per_second)
    bad = (days < FIRST_DAY) | (days > LAST_DAY)
    nulls = _nulls(column, bad)
    date = _days(np.where(bad, 0, days).astype(np.int32), nulls)
    arrays = (date, *_times_of_day(_clock("T"), ticks_of_day, per_second, nulls))
    return Texts(arrays, '"', 'Z"', dict.fromkeys(indices(bad), NO_SUCH_YEAR))


def time_texts(column: pa.Array) -> Texts:
    ticks = numbers(column, np.int32 if types.is_time32(column.type) else np.int64)
    nulls = ~valid(column) if column.null_count else None
    return Texts(_times_of_day(_clock(""), ticks.astype(np.int64), PER_SECOND[column.type.unit], nulls), '"', '"')


def _times_of_day(
    clock: pa.StringArray, ticks: Integers, per_second: int, nulls: Mask | None
) -> tuple[pa.StringArray, ...]:
    """Hours, minutes and seconds, and the fractions if there are any."""
    seconds = ticks // per_second
    rest = ticks - seconds * per_second
    times = clock.take(pa.array(seconds, mask=nulls))
    if not rest.any():
        return (times,)
    digits = pa.array(rest + per_second, mask=nulls).cast(pa.string())  # a one before the digits keeps their zeros
    fractions = pc.utf8_rtrim(pc.utf8_replace_slice(digits, 0, 1, "."), "0")
    return times, pc.if_else(pa.array(rest == 0, mask=nulls), "", fractions)
