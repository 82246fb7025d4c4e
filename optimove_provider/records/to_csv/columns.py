"""Columns as what Arrow writes as their cells, and which of their values have none. For `write`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.rules import plain_digits
from optimove_provider.records.arrow.calendar import NO_SUCH_YEAR, NO_WHOLE_DAY, no_whole_days, outside_of_years
from optimove_provider.records.arrow.coded import plain
from optimove_provider.records.arrow.floats import (
    EXACT_INTEGERS,
    NOT_EXACT,
    all_digits,
    float_values,
    inexact,
    without_exponents,
)
from optimove_provider.records.arrow.mixed import NESTED, MixedType, form, told
from optimove_provider.records.arrow.text_arrays import as_text, characters, indices, mask, unicode, without
from optimove_provider.records.to_csv.instants import epochs, midnights, zulu

Cells = tuple[pa.Array, dict[int, str]]
"""A column as it can be written, and by index why a value is not."""
NOT_FINITE = "NaN and infinities are no numbers to a CSV reader: write null instead"
_ALWAYS_PLAIN = 6
"""Up to this scale Arrow writes no decimal with an exponent."""
_NESTED = r"^[ \t\r\n]*[\[{]"
_FLOAT = r"^[ \t\r\n]*-?[0-9]+[.eE]"
"""How JSON begins that is a list or an object, and that is a number with a point or an exponent."""
NUL = "a NUL character, which no CSV file can have"


def cells_of(column: pa.Array, attribute: Attribute | None) -> Cells:
    """The cells of a column; instants as the attribute's format asks."""
    column = plain(column)
    for test, make_for in _COLUMNS_OF_ATTRIBUTES:
        if test(column.type):
            return make_for(column, attribute)
    if isinstance(column.type, pa.BaseExtensionType):
        return cells_of(column.storage, attribute)
    for test, make in _COLUMNS:
        if test(column.type):
            return make(column)
    reason = f"a {column.type} has no form in CSV: cast it to text in the query"
    return pa.nulls(len(column)), dict.fromkeys(indices(mask(column.is_valid())), reason)


def _mixed(column: pa.ExtensionArray, attribute: Attribute | None) -> Cells:
    bad, reasons = told(column, "no_cell")
    if is_id(attribute):
        inexact, why = told(column, "no_id")
        bad, reasons = bad | inexact, why | reasons
    instants = form(column, "instant")
    cells, nul = _text(without(form(column, "cell"), bad))
    if instants.null_count < len(instants):
        cells = pc.coalesce(_instants(instants, attribute)[0].cast(pa.string()), cells)
    return cells, nul | reasons


def is_id(attribute: Attribute | None) -> bool:
    """Whether another number would be another thing: in a column that is no attribute (the key), or a whole number."""
    return attribute is None or _is_whole(attribute)


def _is_whole(attribute: Attribute) -> bool:
    return attribute.datatype == "long" or attribute.format == "epoch"


def _documents(column: pa.ExtensionArray, attribute: Attribute | None) -> Cells:
    """Numbers of JSON that no column of numbers holds, in plain digits; other documents as they are, unless nested."""
    cells, unfit = _text(column.storage)
    nested = mask(pc.match_substring_regex(cells, _NESTED).fill_null(False))
    reason = NESTED
    unfit |= dict.fromkeys(indices(nested), reason)
    floats = mask(pc.match_substring_regex(cells, _FLOAT).fill_null(False))
    texts = cells.filter(pa.array(floats)).to_pylist()
    if is_id(attribute):
        unfit |= {row: NOT_EXACT for row, text in zip(indices(floats), texts, strict=True) if inexact(float(text))}
    digits = pa.array(map(plain_digits, texts), pa.string())
    return without(pc.replace_with_mask(cells, pa.array(floats), digits), nested), unfit


def _instants(column: pa.Array, attribute: Attribute | None) -> Cells:
    column, unfit = _within_years(column)
    if attribute and attribute.format == "epoch":
        return epochs(column, milliseconds=attribute.epoch_unit == "milliseconds"), unfit
    return midnights(column) if attribute and attribute.format == "yyyy-mm-dd" else zulu(column), unfit


def _within_years(column: pa.Array) -> Cells:
    bad = outside_of_years(column)
    return (without(column, bad), dict.fromkeys(indices(bad), NO_SUCH_YEAR)) if bad.any() else (column, {})


def _milliseconds(column: pa.Date64Array) -> Cells:
    odd = no_whole_days(column)
    found, unfit = _within_years(without(column, odd))
    return found.cast(pa.date32()), dict.fromkeys(indices(odd), NO_WHOLE_DAY) | unfit


def _text(column: pa.Array) -> Cells:
    column, unfit = unicode(as_text(column))
    if characters(column).min(initial=1):
        return column, unfit
    bad = mask(pc.match_substring(column, "\0").fill_null(False))
    return without(column, bad), dict.fromkeys(indices(bad), NUL) | unfit


def _floats(column: pa.Array, attribute: Attribute | None) -> Cells:
    """Plain digits. In a key, and in a whole number, what may have lost digits would be another one."""
    column = column.cast(pa.float32()) if kinds.is_float16(column.type) else column
    values = float_values(column)
    infinite = ~np.isfinite(values)
    finite = np.where(infinite, 0, values)
    unfit = dict.fromkeys(indices(infinite), NOT_FINITE)
    if is_id(attribute):
        unfit |= dict.fromkeys(indices(np.abs(finite) >= EXACT_INTEGERS), NOT_EXACT)
    return without_exponents(all_digits(column, finite), finite), unfit


def _decimals(column: pa.Array, attribute: Attribute | None) -> Cells:
    return _digits(column, attribute), {}


def _digits(column: pa.Array, attribute: Attribute | None) -> pa.Array:
    """Plain digits. A column has one scale, so that 5 beside 1.5 is 5.0: for a long or an epoch it is 5 again.

    Arrow writes 1.0E+3 where the scale is negative, and 0E-9 and 1.0E-8 where it is great.
    """
    scale = column.type.scale
    if scale <= 0:
        return column.cast(pa.decimal256(76, 0)) if scale < 0 else column
    whole = attribute is not None and _is_whole(attribute)
    if scale <= _ALWAYS_PLAIN and not whole:
        return column
    cells = column.cast(pa.string())
    odd = pc.match_substring(cells, "E").fill_null(False)
    values = [f"{value:f}" for value in column.filter(odd).to_pylist()]
    cells = pc.replace_with_mask(cells, odd, pa.array(values, pa.string()))
    return pc.replace_substring_regex(cells, r"\.0+$", "") if whole else cells


def _is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def _as_it_is(column: pa.Array) -> Cells:
    return column, {}


_COLUMNS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], Cells]], ...] = (
    (_is_text, _text),
    (kinds.is_integer, _as_it_is),
    (kinds.is_boolean, _as_it_is),
    (kinds.is_date32, _within_years),
    (kinds.is_date64, _milliseconds),
    (kinds.is_null, _as_it_is),
)
_COLUMNS_OF_ATTRIBUTES: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any, Attribute | None], Cells]], ...] = (
    (lambda kind: isinstance(kind, MixedType), _mixed),
    (lambda kind: isinstance(kind, pa.JsonType), _documents),
    (kinds.is_timestamp, _instants),
    (kinds.is_decimal, _decimals),
    (kinds.is_floating, _floats),
)
"""Those whose cells depend on the attribute that they are for."""
