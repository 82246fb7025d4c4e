"""Which dates, times and instants have a form, as Arrow stores them."""

import numpy as np
import pyarrow as pa

from optimove_provider.records.arrow.text_arrays import numbers
from optimove_provider.records.arrow.types import Mask

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SECONDS_A_DAY = 86_400
MILLISECONDS_A_DAY = SECONDS_A_DAY * 1000
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, in days since 1970."""
NO_SUCH_YEAR = "the year is not between 0001 and 9999"
NO_SUCH_TIME = "the time is not between 00:00:00 and 24:00:00"
NO_WHOLE_DAY = "a date with a time of day in it"


def outside_of_years(column: pa.Array) -> Mask:
    """Which dates or instants lie in no year between 0001 and 9999."""
    per_day = 1
    if pa.types.is_timestamp(column.type):
        per_day = SECONDS_A_DAY * PER_SECOND[column.type.unit]
    elif pa.types.is_date64(column.type):
        per_day = MILLISECONDS_A_DAY
    stored = numbers(column, np.int32 if pa.types.is_date32(column.type) else np.int64)
    first, end = FIRST_DAY * per_day, (LAST_DAY + 1) * per_day
    if first < np.iinfo(np.int64).min:  # every instant in nanoseconds lies in such a year
        return np.zeros(len(column), bool)
    if stored.min(initial=0) >= first and stored.max(initial=0) < end:
        return np.zeros(len(column), bool)
    bad: Mask = (stored < first) | (stored >= end)
    return bad


def no_whole_days(column: pa.Date64Array) -> Mask:
    """Which dates, stored in milliseconds, have a time of day."""
    bad: Mask = numbers(column, np.int64) % MILLISECONDS_A_DAY != 0
    return bad
