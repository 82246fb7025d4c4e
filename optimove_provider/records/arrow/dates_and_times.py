"""Columns of dates and times as text: formatting them one by one takes longer than writing all the rest of a row."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from optimove_provider.records.arrow.calendar import (
    FIRST_DAY,
    LAST_DAY,
    MILLISECONDS_A_DAY,
    NO_SUCH_TIME,
    NO_SUCH_YEAR,
    NO_WHOLE_DAY,
    PER_SECOND,
    SECONDS_A_DAY,
    no_whole_days,
    outside_of_years,
)
from optimove_provider.records.arrow.text_arrays import Texts, indices, numbers, valid
from optimove_provider.records.arrow.types import Integers, Mask

FIRST_LISTED, LISTED_DAYS = -25_567, 55_152
"""The days from 1900 to 2050."""


def date_texts(column: pa.Array) -> Texts:
    """ "2022-05-02", in quotes."""
    bad = outside_of_years(column)
    unfit = dict.fromkeys(indices(bad), NO_SUCH_YEAR)
    if types.is_date32(column.type):
        days = numbers(column, np.int32)
    else:
        odd = no_whole_days(column)
        days = numbers(column, np.int64) // MILLISECONDS_A_DAY
        bad, unfit = bad | odd, unfit | dict.fromkeys(indices(odd), NO_WHOLE_DAY)
    if unfit:
        days = np.where(bad, 0, days)
    return Texts((_days(days.astype(np.int32, copy=False), _nulls(column, bad)),), '"', '"', unfit)


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
    """ "2022-05-02T10:10:59Z", in quotes; what is less than a second as a fraction before the Z."""
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
    """ "10:10:59", in quotes, with a fraction as above."""
    ticks = numbers(column, np.int32 if types.is_time32(column.type) else np.int64).astype(np.int64)
    per_second = PER_SECOND[column.type.unit]
    bad = (ticks < 0) | (ticks >= SECONDS_A_DAY * per_second)
    times = _times_of_day(_clock(""), np.where(bad, 0, ticks), per_second, _nulls(column, bad))
    return Texts(times, '"', '"', dict.fromkeys(indices(bad), NO_SUCH_TIME))


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
