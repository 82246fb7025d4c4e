"""Columns of instants as text. Formatting them one by one takes longer than writing all the rest of a row."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.types import Bytes, Integers, Mask

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = 86_400
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Years 1 to 9999, in seconds since 1970."""

_TIMES = np.frombuffer(
    "".join(f"T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z" for s in range(_DAY)).encode(), np.uint8
).reshape(_DAY, 10)


def zulu(column: pa.TimestampArray) -> pa.StringArray:
    """2022-05-02T10:10:59Z, and what is less than a second as a fraction before the Z."""
    seconds, rest = _split(column)
    if rest.any() or (seconds < _FIRST).any() or (seconds > _LAST).any():
        return _slowly(column)
    days = seconds // _DAY
    text = np.empty((len(seconds), 20), np.uint8)
    text[:, :10] = _dates(days)
    text[:, 10:] = _TIMES[seconds - days * _DAY]
    return _text(text, column)


def midnights(column: pa.TimestampArray) -> pa.Array:
    """2022-05-02 for midnights; other instants as `zulu` writes them."""
    seconds, rest = _split(column)
    odd = (rest != 0) | (seconds % _DAY != 0) | (seconds < _FIRST) | (seconds > _LAST)
    days = pa.array(np.where(odd, 0, seconds // _DAY).astype(np.int32), mask=_nulls(column)).cast(pa.date32())
    return _unless(odd, days, column)


def epochs(column: pa.TimestampArray, milliseconds: bool) -> pa.Array:
    """Integers, or milliseconds, since 1970; instants with a fraction of them as `zulu` writes them."""
    values, per_unit = _values(column), _PER_SECOND[column.type.unit]
    target = 1000 if milliseconds else 1
    if per_unit <= target:
        return pa.array(values * (target // per_unit), mask=_nulls(column))
    whole = values // (per_unit // target)
    return _unless(values % (per_unit // target) != 0, pa.array(whole, mask=_nulls(column)), column)


def _unless(odd: Mask, plain: pa.Array, column: pa.TimestampArray) -> pa.Array:
    """The plain cells, but where they do not say everything the full form, which a validator will name."""
    return pc.if_else(pa.array(odd), zulu(column), plain.cast(pa.string())) if odd.any() else plain


def _split(column: pa.TimestampArray) -> tuple[Integers, Integers]:
    """Whole seconds since 1970, 0 for nulls, and what is left, in the column's unit."""
    values, per_second = _values(column), _PER_SECOND[column.type.unit]
    seconds = values // per_second
    return seconds, values - seconds * per_second


def _values(column: pa.TimestampArray) -> Integers:
    values: Integers = column.cast(pa.int64()).fill_null(0).to_numpy()
    return values


def _nulls(column: pa.Array) -> Mask:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


def _dates(days: Integers) -> Bytes:
    """Days since 1970 as ten characters each. Days repeat, or lie close together."""
    if not len(days):
        return np.empty((0, 10), np.uint8)
    first, last = int(days.min()), int(days.max())
    if last - first > len(days) + 100_000:
        kinds, days = np.unique(days, return_inverse=True)
    else:
        kinds, days = np.arange(first, last + 1), days - first
    text = "".join(np.datetime_as_string(kinds.astype("datetime64[D]")).tolist())
    return np.frombuffer(text.encode(), np.uint8).reshape(len(kinds), 10)[days]


def _text(text: Bytes, column: pa.Array) -> pa.StringArray:
    count, width = text.shape
    offsets = pa.py_buffer(np.arange(0, (count + 1) * width, width, dtype=np.int32))
    whole = pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(text)])
    return pc.if_else(column.is_null(), None, whole) if column.null_count else whole


def _slowly(column: pa.TimestampArray) -> pa.StringArray:
    local = column.cast(pa.timestamp(column.type.unit, "UTC")).cast(pa.timestamp(column.type.unit))
    text = pc.replace_substring(local.cast(pa.string()), " ", "T")
    text = pc.replace_substring_regex(pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1"), r"\.$", "")
    return pc.binary_join_element_wise(text, "Z", "")
