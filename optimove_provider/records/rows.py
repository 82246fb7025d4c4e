"""What a source gives: record batches, and in their turn the rows that could not be read."""

import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as types

from optimove_provider.contract.wire.errors import DataError

BATCH_ROWS = 20_000
BATCH_BYTES = 32 << 20
"""A batch has no more rows, and no more bytes unless it is a single row."""
MAX_ROW_BYTES = 64 << 20
"""Ours. A longer row does not travel."""
MAX_TEXT_CHARACTERS = 1 << 20
"""How much is kept of the text of a row that could not be read."""
MAX_SHOWN_BYTES = 1000
"""How long a value may be that is shown of a row that is too long."""


@dataclass(frozen=True, slots=True)
class Unread:
    """One row that could not be read: its text as it stands, without line end, and why. It counts as a row."""

    text: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text[:MAX_TEXT_CHARACTERS])


Rows = Iterator[pa.RecordBatch | Unread]
Reading = Generator[pa.RecordBatch | Unread, None, None]
"""The same, of a file: close it before the file."""


def only_batches(rows: Iterable[pa.RecordBatch | Unread]) -> Iterator[pa.RecordBatch]:
    """The batches of rows of which each must be readable. Raises DataError, which names the first that is not."""
    number = 0
    for item in rows:
        if isinstance(item, Unread):
            raise DataError(f"row {number + 1}: {item.reason}: {item.text!r:.200}")
        number += item.num_rows
        yield item


class FirstRows:
    """The first rows of a source, at most `limit` of them; None for all. `has_more` is known once they were taken."""

    def __init__(self, limit: int | None) -> None:
        self._limit, self.has_more = limit, False

    def of(self, rows: Rows) -> Rows:
        """The same rows, up to there. No more is read than shows that there are others."""
        left = self._limit
        for item in rows:
            size = 1 if isinstance(item, Unread) else item.num_rows
            if left is None or size <= left:
                yield item
                left = left and left - size
                continue
            self.has_more = True
            if left and not isinstance(item, Unread):
                yield item.slice(0, left)
            return


_OF_VALUES = {"optimove": "values"}


def of_values(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same, marked: its columns and types are those of the values in it, and the source has no others."""
    return batch.replace_schema_metadata(_OF_VALUES)


def is_of_values(schema: pa.Schema) -> bool:
    """Whether the batches are of values that came one by one (a list, JSON Lines, a cursor), so that a column's type,
    and which columns there are, may be another in each batch."""
    return (schema.metadata or {}).get(b"optimove") == b"values"


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """No rows, of whatever types: not every one can be made of Python values."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def small_batches(batch: pa.RecordBatch) -> Rows:
    """The rows of a large batch, at most `BATCH_ROWS` and about `BATCH_BYTES` at a time, without a copy.

    A row of more than `MAX_ROW_BYTES` is `Unread`.
    """
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield from _within_bytes(batch.slice(start, BATCH_ROWS))


def _within_bytes(batch: pa.RecordBatch) -> Rows:
    size = sum(map(_bytes, batch.columns))
    if size <= BATCH_BYTES or (batch.num_rows == 1 and size <= MAX_ROW_BYTES):
        yield batch
    elif batch.num_rows == 1:
        yield _too_long(batch, size)
    else:
        half = batch.num_rows // 2
        yield from _within_bytes(batch.slice(0, half))
        yield from _within_bytes(batch.slice(half))


def _bytes(column: pa.Array) -> int:
    """What the values of a column take when nothing is shared among rows."""
    if types.is_dictionary(column.type):
        coded = column.dictionary
        return int(column.indices.nbytes + _bytes(coded) * len(column) // max(1, len(coded)))
    if types.is_list(column.type) or types.is_large_list(column.type):
        return 4 * len(column) + _bytes(column.flatten())
    if types.is_struct(column.type):
        return sum(map(_bytes, column.flatten()))
    try:
        return int(column.nbytes)
    except pa.ArrowTypeError:  # up to Arrow 22, of views
        return _bytes_of_views(column)


def _bytes_of_views(column: pa.Array) -> int:
    for is_view, plain in ((types.is_string_view, pa.large_string()), (types.is_binary_view, pa.large_binary())):
        if is_view(column.type):
            return int(column.cast(plain).nbytes)
    return int(column.get_total_buffer_size())


def _too_long(row: pa.RecordBatch, size: int) -> Unread:
    sizes = dict(zip(row.schema.names, map(_bytes, row.columns), strict=True))
    longest = max(sizes, key=sizes.__getitem__)
    shown = {name: row.column(name)[0].as_py() for name, length in sizes.items() if _is_shown(row.column(name), length)}
    return Unread(
        json.dumps(shown, ensure_ascii=False),
        f"column {longest!r}: {sizes[longest]} bytes, in a row of {size}; a row may have {MAX_ROW_BYTES}: leave the "
        "column out, or shorten it",
    )


def _is_shown(column: pa.Array, size: int) -> bool:
    return size <= MAX_SHOWN_BYTES and (types.is_string(column.type) or types.is_integer(column.type))


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array. It nearly always is one already, and joining would copy it."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def refuse_doubled(names: Iterable[str], where: str) -> None:
    """Raise DataError if a column is named twice."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise DataError(f"{where}: columns named twice: {', '.join(map(repr, doubled))}; rename them")
