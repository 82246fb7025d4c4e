"""What a source gives: record batches, and in their turn the rows that could not be read."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError

BATCH_ROWS = 20_000
MAX_TEXT_CHARACTERS = 1 << 20
"""How much is kept of the text of a row that could not be read."""


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


def small_batches(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows of a large batch, at most `BATCH_ROWS` at a time, without a copy."""
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array. It nearly always is one already, and joining would copy it."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def refuse_doubled(names: Iterable[str], where: str) -> None:
    """Raise DataError if a column is named twice."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise DataError(f"{where}: columns named twice: {', '.join(map(repr, doubled))}")
