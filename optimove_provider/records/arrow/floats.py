"""Floats as Arrow would write them, but for whole numbers, of which it leaves out digits."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.text_arrays import numbers

EXACT_INTEGERS = 2**53
"""Below it every whole number is a double."""
_NOT_ALL_DIGITS = {"float": 2**24, "double": 10**10}
"""From here on Arrow fills a float's shortest digits up with zeros, and writes a double with an exponent."""


def float_values(column: pa.Array) -> npt.NDArray[Any]:
    """What is in a column of float32 or float64, 0 where it is null."""
    return numbers(column, np.float32 if column.type == pa.float32() else np.float64)


def all_digits(column: pa.Array, values: npt.NDArray[Any]) -> pa.Array:
    """A column that Arrow writes as the shortest numbers that read back the same, whole ones below 2^53 in full.

    `values` are its `float_values`, with something finite for each that is not. What comes back is the column itself
    wherever that will do, or else its text.
    """
    size = np.abs(values)
    start = _NOT_ALL_DIGITS[str(column.type)]
    if size.max(initial=0) < start:
        return column
    long = (size >= start) & (size < EXACT_INTEGERS) & (values == np.trunc(values))
    whole = pa.array(np.where(long, values, 0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(long), whole, column.cast(pa.string()))
