"""Floats as Arrow would write them, but for whole numbers, of which it leaves out digits; and without exponents."""

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.cells.rules import plain_digits
from optimove_provider.records.arrow.text_arrays import numbers

EXACT_INTEGERS = 2**53
"""Below it every whole number is a double."""
NOT_EXACT = "a float from 2^53 on may have lost digits, and this is a whole number or a key: give an integer or a text"


def inexact(number: float | Decimal | np.floating[Any]) -> str | None:
    """Why a float, or what was one before, is no key and no whole number; None if it has all of its digits."""
    return NOT_EXACT if abs(float(number)) >= EXACT_INTEGERS else None


_PLAIN_FROM = 1e-5
"""Numbers that are nearer to 0 Arrow may write with an exponent."""
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


def without_exponents(cells: pa.Array, values: npt.NDArray[Any]) -> pa.Array:
    """What `all_digits` gives, with plain digits for what Arrow writes with an exponent: the same numbers."""
    size = np.abs(values)
    may_have_one = (size >= _NOT_ALL_DIGITS["double"]) | (size < _PLAIN_FROM) & (size > 0)
    if not may_have_one.any():
        return cells
    texts = cells.cast(pa.string())
    odd = pc.match_substring(texts, "e").fill_null(False)
    plain = pa.array(map(plain_digits, texts.filter(odd).to_pylist()), pa.string())
    return pc.replace_with_mask(texts, odd, plain)
