"""Columns as JSON text, with the kernels of Arrow and without a look at single values. For `encode`."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from optimove_provider.contract.cells.ids import is_empty_id
from optimove_provider.records.arrow.coded import plain
from optimove_provider.records.arrow.dates_and_times import date_texts, time_texts, timestamp_texts
from optimove_provider.records.arrow.floats import all_digits, float_values
from optimove_provider.records.arrow.mixed import MixedType, form, told
from optimove_provider.records.arrow.text_arrays import (
    Texts,
    as_text,
    bytes_of,
    characters,
    indices,
    mask,
    unicode,
    valid,
    without,
)
from optimove_provider.records.to_json.scalars import (
    NOT_FINITE,
    NoForm,
    check_json,
    decimal_text,
    is_text,
    scalar_text,
    string_text,
)

MISSING_KEY = "a key is missing"
UNSEEN_KEY = f"{MISSING_KEY}: nothing can be seen in it"
NO_INTEGER = "key_type is integer, and this is none"


def texts(column: pa.Array) -> Texts:
    """The JSON text of a column whose type has a form."""
    for test, make in _COLUMNS:
        if test(column.type):
            return make(column)
    return _one_by_one(column, scalar_text)


def key_texts(type_: pa.DataType, key_type: str, of_values: bool = False) -> Callable[[pa.Array], Texts]:
    """What makes keys of a column of this type. Raises NoForm if it can hold no keys.

    `of_values`: the type is that of a few values, and not of all of the source: then each of them is no key.
    """
    if types.is_dictionary(type_) or types.is_run_end_encoded(type_):
        return lambda column: key_texts(type_.value_type, key_type, of_values)(plain(column))
    integers = types.is_integer(type_) or (types.is_decimal(type_) and type_.scale <= 0)
    is_document = isinstance(type_, pa.JsonType | MixedType)
    if not (integers or is_text(type_) or types.is_null(type_) or is_document or of_values):
        raise NoForm(f"a key must be text or an integer, not {type_}: cast it in the query")
    if types.is_null(type_):
        return lambda column: _keys(Texts((pa.nulls(len(column), pa.string()),)))
    if integers:
        return _integer_keys if key_type == "integer" else lambda column: _keys(_quoted(texts(column)))
    if is_text(type_):
        return _text_keys if key_type == "string" else lambda column: _keys(_digits(column))
    return lambda column: _keys(_one_by_one(column, partial(_json_key, key_type)))


def _keys(found: Texts) -> Texts:
    """The same, with the null ones unfit."""
    if found.valid is None:
        return found
    return replace(found, unfit=dict.fromkeys(indices(~found.valid), MISSING_KEY) | found.unfit)


def _quoted(found: Texts) -> Texts:
    return replace(found, begin='"', end='"')


def _integer_keys(column: pa.Array) -> Texts:
    return _keys(texts(column))


def _text_keys(column: pa.Array) -> Texts:
    column = as_text(column)
    found = _keys(_text(column))
    empty = _empty_keys(column, found.unfit)
    return replace(found, unfit=empty | found.unfit) if empty else found


def _empty_keys(column: pa.StringArray, unfit: Collection[int]) -> dict[int, str]:
    """The keys in which nothing can be seen, by the rule that `validate` has, and why they are none: none of those that
    begin with visible ASCII."""
    edges, data = bytes_of(column)
    lengths = np.diff(edges)
    first = data.take(edges[:-1], mode="clip") if len(data) else np.zeros(len(column), np.uint8)
    plain = (lengths > 0) & (first - np.uint8(ord("!")) <= ord("~") - ord("!"))
    doubtful = [row for row in indices(~plain & valid(column)) if row not in unfit]
    texts_ = column.take(pa.array(doubtful, pa.int64())).to_pylist()
    pairs = zip(doubtful, texts_, strict=True)
    return {row: UNSEEN_KEY if text else MISSING_KEY for row, text in pairs if is_empty_id(text)}


def _digits(column: pa.Array) -> Texts:
    """Keys that are integers as text. Most are written as JSON would; the others are looked at one by one."""
    column, unfit = unicode(as_text(column))
    plain = pc.match_substring_regex(column, "^(0|-?[1-9][0-9]*)$").fill_null(True)
    if pc.all(plain).as_py():
        return Texts((column,), unfit=unfit)
    values = column.to_pylist()
    for position in indices(~mask(plain)):
        try:
            values[position] = _integer(values[position])
        except NoForm as error:
            values[position], unfit[position] = None, str(error)
    return Texts((pa.array(values, pa.string()),), unfit=unfit)


def _integer(text: str) -> str:
    if is_empty_id(text):
        raise NoForm(UNSEEN_KEY if text else MISSING_KEY)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise NoForm(NO_INTEGER)
    digits = digits.lstrip("0") or "0"
    return "-" + digits if text.startswith("-") and digits != "0" else digits


def _json_key(key_type: str, scalar: pa.Scalar) -> str:
    """A key that has a form in JSON: text, or an integer, however long."""
    value = json.loads(scalar_text(scalar), parse_int=str)
    if value is None or (isinstance(value, str) and is_empty_id(value)):
        raise NoForm(UNSEEN_KEY if value else MISSING_KEY)
    if not isinstance(value, str):
        raise NoForm(f"a key must be text or an integer, not a {type(value).__name__}: cast it in the query")
    return string_text(value) if key_type == "string" else _integer(value)


def _one_by_one(column: pa.Array, render: Callable[[Any], str]) -> Texts:
    values: list[str | None] = []
    unfit: dict[int, str] = {}
    for position, scalar in enumerate(column):
        try:
            values.append(render(scalar) if scalar.is_valid else None)
        except NoForm as error:
            values.append(None)
            unfit[position] = str(error)
    return Texts((pa.array(values, pa.string()),), unfit=unfit)


def _null(column: pa.Array) -> Texts:
    return Texts((pa.nulls(len(column), pa.string()),))


def _cast(column: pa.Array) -> Texts:
    return Texts((column.cast(pa.string()),))


@cache
def _false_and_true() -> pa.StringArray:
    return pa.array(["false", "true"])


def _boolean(column: pa.BooleanArray) -> Texts:
    return Texts((_false_and_true().take(column.cast(pa.int8())),))


def _floating(column: pa.Array) -> Texts:
    column = column.cast(pa.float32()) if types.is_float16(column.type) else column
    values = float_values(column)
    bad = ~np.isfinite(values)
    if bad.any():
        column = without(column, bad)
        values = np.where(bad, 0, values)
    if np.signbit(values[values == 0]).any():
        column = pc.add(column, pa.scalar(0.0, column.type))  # 0 for -0
    return Texts((all_digits(column, values).cast(pa.string()),), unfit=dict.fromkeys(indices(bad), NOT_FINITE))


def _decimal(column: pa.Array) -> Texts:
    text = column.cast(pa.string())
    exponents = mask(pc.match_substring(text, "E").fill_null(False))
    if column.type.scale > 0:
        text = pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
    if exponents.any():  # rare: very small numbers, and zero
        values = pa.array([decimal_text(value) for value in column.filter(pa.array(exponents)).to_pylist()])
        text = pc.replace_with_mask(text, pa.array(exponents), values)
    return Texts((text,))


def _json(column: pa.ExtensionArray) -> Texts:
    column, unfit = unicode(as_text(column.storage))
    for position, text in enumerate(column.to_pylist()):
        if text is not None:
            try:
                check_json(text)
            except NoForm as error:
                unfit[position] = str(error)
    if unfit:
        bad = np.zeros(len(column), bool)
        bad[list(unfit)] = True
        column = without(column, bad)
    return Texts((column,), unfit=unfit)


def _text(column: pa.Array) -> Texts:
    column, unfit = unicode(as_text(column))
    return Texts((_escaped(column),), '"', '"', unfit)


_QUOTE, _BACKSLASH, _FIRST_VISIBLE = ord('"'), ord("\\"), 0x20


def _escaped(column: pa.StringArray) -> pa.StringArray:
    """Texts with controls, quotes and backslashes escaped, as the inside of JSON strings."""
    data = characters(column)
    special = np.unique(data[(data < _FIRST_VISIBLE) | (data == _QUOTE) | (data == _BACKSLASH)]).tolist()
    for byte in sorted(special, key=lambda byte: byte != _BACKSLASH):  # that first, as the escapes of others have one
        column = pc.replace_substring(column, chr(byte), json.dumps(chr(byte))[1:-1])
    return column


def _mixed(column: pa.ExtensionArray) -> Texts:
    bad, unfit = told(column, "no_json")
    found = form(column, "json")
    return Texts((without(found, bad) if unfit else found,), unfit=unfit)


def _is_coded(type_: pa.DataType) -> bool:
    return bool(types.is_dictionary(type_) or types.is_run_end_encoded(type_))


_COLUMNS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], Texts]], ...] = (
    (is_text, _text),
    (_is_coded, lambda column: texts(plain(column))),
    (types.is_integer, _cast),
    (types.is_boolean, _boolean),
    (types.is_floating, _floating),
    (types.is_timestamp, timestamp_texts),
    (types.is_date, date_texts),
    (types.is_decimal, _decimal),
    (types.is_time, time_texts),
    (types.is_null, _null),
    (lambda type_: isinstance(type_, pa.JsonType), _json),
    (lambda type_: isinstance(type_, MixedType), _mixed),
)
