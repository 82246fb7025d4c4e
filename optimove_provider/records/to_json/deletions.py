"""Rows that say of their key that it is deleted: told from the others by one column, which is never sent."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.records.arrow.shown import shown
from optimove_provider.records.arrow.types import Integers
from optimove_provider.records.rows import is_of_values
from optimove_provider.records.to_json.encode import Encoded, Encoder, Unfit

_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", ""), False),
}
_EXPECTED = (
    "it says neither that the row is a deletion nor that it is none: expected true or false, 1 or 0, or one of the "
    "words true, t, yes, y, false, f, no, n, in whatever capitals; null and an empty text say that it is none. Of an "
    "instant, let the query say what it means, as in: deleted_at IS NOT NULL AS is_deleted"
)


@dataclass(frozen=True, slots=True)
class DeletedColumn:
    """The column that says which rows are deletions. `may_lack`: rows that are sent again may come without it, since it
    never travelled."""

    name: str
    may_lack: bool = False

    def check(self, columns: Any) -> None:
        """Raise DataError where no row of a source has it: each would be taken for a row that is there."""
        if self.name not in columns and not self.may_lack:
            raise DataError(
                f"deleted_column={self.name!r} is missing; the source has {', '.join(columns)}: name one of them, as "
                "it is written there"
            )


def is_deletion(value: object) -> bool | None:
    """Whether a value of such a column says that its row is a deletion; None for one that says neither."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        return _WORDS.get(value.strip().casefold())
    is_number = isinstance(value, int | float | Decimal)
    return bool(value) if is_number and value in (0, 1) else None


class Encodes(Protocol):
    """Makes records of the batches of one schema."""

    def encode(self, batch: pa.RecordBatch) -> Encoded: ...


class DeletionsApart:
    """Encodes batches of one schema: the rows that are there as `make_encoder` does, of deletions only their keys."""

    def __init__(
        self,
        schema: pa.Schema,
        column: DeletedColumn,
        primary_key: str,
        key_type: str,
        make_encoder: Callable[[pa.Schema], Encodes],
    ) -> None:
        if not is_of_values(schema):  # in batches of values a column may come later
            column.check(schema.names)
        self._column, self._key, self._has_key = column.name, primary_key, primary_key in schema.names
        self._fields = [name for name in schema.names if name != column.name]
        self._inner = make_encoder(pa.schema([schema.field(name) for name in self._fields], schema.metadata))
        key = schema.field(primary_key) if self._has_key else pa.field(primary_key, pa.null())
        self._key_schema = pa.schema([key], schema.metadata)
        self._keys = Encoder(self._key_schema, primary_key, key_type)

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """The records of the rows that are there, and the keys of the others."""
        marks, odd = self._marks(batch)
        live, gone = np.flatnonzero(marks == 0), np.flatnonzero(marks == 1)
        found = self._inner.encode(_taken(batch.select(self._fields), live))
        unfit = [replace(one, position=int(live[one.position])) for one in found.unfit]
        if not (odd or len(gone)):
            return replace(found, positions=live[found.positions], unfit=unfit)
        told = self._keys.encode(_taken(self._only_keys(batch), gone))
        unfit += [replace(one, position=int(gone[one.position])) for one in told.unfit]
        unfit += self._odd(batch, odd)
        return Encoded(
            live[found.positions],
            found.keys,
            found.records,
            sorted(unfit, key=lambda one: one.position),
            gone[told.positions],
            told.keys,
        )

    def _marks(self, batch: pa.RecordBatch) -> tuple[Integers, list[int]]:
        """Of each row 0 if it is there, 1 if it is a deletion, 2 if that cannot be told; and where the last are."""
        marks, odd = np.zeros(batch.num_rows, np.int64), []
        if self._column in batch.schema.names:
            for position, value in enumerate(batch.column(self._column).to_pylist()):
                told = is_deletion(value)
                marks[position] = 2 if told is None else told
                if told is None:
                    odd.append(position)
        return marks, odd

    def _only_keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        key = batch.column(self._key) if self._has_key else pa.nulls(batch.num_rows)
        return pa.record_batch([key], schema=self._key_schema)

    def _odd(self, batch: pa.RecordBatch, positions: list[int]) -> list[Unfit]:
        if not positions:
            return []
        found = self._keys.encode(_taken(self._only_keys(batch), np.array(positions)))
        keys = dict(zip(found.positions.tolist(), found.keys.to_pylist(), strict=True))
        values = batch.column(self._column)
        return [
            Unfit(position, self._column, shown(values[position]), _EXPECTED, keys.get(number))
            for number, position in enumerate(positions)
        ]


def _taken(batch: pa.RecordBatch, positions: Integers) -> pa.RecordBatch:
    return batch if len(positions) == batch.num_rows else batch.take(pa.array(positions, pa.int64()))
