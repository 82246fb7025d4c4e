"""Columns that are stored as codes, or as runs of equal values, as plain ones."""

import numpy as np
import pyarrow as pa


def plain(column: pa.Array) -> pa.Array:
    """The same values as a column of their own type. A code that is null, or stands for null, is null."""
    if pa.types.is_dictionary(column.type):
        return plain(_taken(column.dictionary, column.indices))
    if pa.types.is_run_end_encoded(column.type):
        places = np.arange(column.offset, column.offset + len(column))
        runs = np.searchsorted(column.run_ends.to_numpy(), places, side="right")
        return plain(_taken(column.values, pa.array(runs)))
    return column


def _taken(values: pa.Array, places: pa.Array) -> pa.Array:
    if pa.types.is_string_view(values.type):  # nothing can be taken from views
        values = values.cast(pa.large_string())
    elif pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_binary())
    return values.take(places)
