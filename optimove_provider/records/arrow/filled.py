"""Which values say anything: blank texts, empty lists, and objects of nothing but such do not."""

from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.coded import plain
from optimove_provider.records.arrow.mixed import MixedType, form
from optimove_provider.records.arrow.text_arrays import as_text, unicode
from optimove_provider.records.arrow.types import Mask

_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def filled(column: pa.Array) -> Mask:
    """Of each value, whether it or anything in it is neither null, nor blank, nor empty."""
    column = plain(column)
    kind = column.type
    if isinstance(kind, MixedType):
        return filled(form(column, "cell")) | _true(form(column, "instant").is_valid())
    if isinstance(column, pa.ExtensionArray):
        return filled(column.storage)
    if any(is_one(kind) for is_one in _TEXTS):
        return _texts(column)
    if any(is_one(kind) for is_one in _BYTES):
        return _true(pc.greater(pc.binary_length(_lengthy(column)), 0))
    if pa.types.is_struct(kind):
        return reduce(np.logical_or, map(filled, column.flatten()), np.zeros(len(column), np.bool_))
    if any(is_one(kind) for is_one in _LISTS):
        return _lists(column)
    if pa.types.is_map(kind):
        return _maps(column)
    return _true(column.is_valid())


def _lengthy(column: pa.Array) -> pa.Array:
    """Arrow counts no bytes of views."""
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(column.type) else column


def _texts(column: pa.Array) -> Mask:
    try:
        return _not_blank(column.cast(pa.large_string()))
    except pa.ArrowInvalid:  # what is no text is no blank one
        column, bad = unicode(as_text(column))
        return np.array(
            [i in bad or bool(text and text.strip()) for i, text in enumerate(column.to_pylist())], np.bool_
        )


def _not_blank(column: pa.Array) -> Mask:
    is_blank = pc.or_(pc.equal(pc.binary_length(column), 0), pc.utf8_is_space(column))
    return _true(pc.invert(is_blank))


def _lists(column: pa.Array) -> Mask:
    mask = np.zeros(len(column), np.bool_)
    mask[pc.list_parent_indices(column).to_numpy()[filled(pc.list_flatten(column))]] = True
    return mask


def _maps(column: pa.Array) -> Mask:
    """A map is filled by its values."""
    edges = column.offsets.to_numpy()
    items = filled(column.items.slice(edges[0], edges[-1] - edges[0]))
    before = np.append(0, np.cumsum(items))[edges - edges[0]]
    mask: Mask = (np.diff(before) > 0) & _true(column.is_valid())
    return mask


def _true(mask: pa.BooleanArray) -> Mask:
    found: Mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return found
