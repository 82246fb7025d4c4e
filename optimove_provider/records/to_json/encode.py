"""Record batches as JSON records for Opti-X, a column at a time. The forms are those of `scalars`, which is exact.

Each column becomes text with the kernels of Arrow; one join makes the records. Rows that cannot travel are given
apart, with the reason.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.records.arrow.shown import shown
from optimove_provider.records.arrow.text_arrays import Piece, Texts, interleaved
from optimove_provider.records.arrow.types import Integers, Mask
from optimove_provider.records.rows import is_of_values, refuse_doubled
from optimove_provider.records.to_json.columns import key_texts, texts
from optimove_provider.records.to_json.scalars import NoForm, check_type, string_text

KEY_TYPES = ("string", "integer")
NULLS = ("omit", "null", "refuse")


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row that cannot travel: its position in the batch, the first column that is why, and its key if it has one."""

    position: int
    column: str
    value_repr: str
    reason: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """The rows that are fit: their positions in the batch, keys as JSON text ('"00123"', '17'), and whole records.

    A record's members are in the order of their names, the key among them. `unfit` are the others, in order; but for
    deletions, of which there are the positions and keys only, where a source has any.
    """

    positions: Integers
    keys: pa.StringArray
    records: pa.StringArray
    unfit: list[Unfit]
    deleted: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    deleted_keys: pa.StringArray = field(default_factory=lambda: pa.nulls(0, pa.string()))


class Encoder:
    """Encodes batches of one schema.

    `key_type` "string" takes text and integers as keys (1 travels as "1"), "integer" takes integers and their digits.
    `nulls` at the top of a record: "omit" leaves the member out, "null" writes it, "refuse" makes the row unfit.

    Raises DataError if the key column is missing or can hold no keys, if a column is named twice, or if JSON has no
    form for its type; SettingsError for another `key_type` or `nulls`. In batches of values (`rows.is_of_values`) a
    row without a key, or with one that can be none, is unfit, and no more.
    """

    def __init__(self, schema: pa.Schema, primary_key: str, key_type: str = "string", nulls: str = "omit") -> None:
        _check_choice("key_type", key_type, KEY_TYPES)
        _check_choice("nulls", nulls, NULLS)
        self._is_keyless = primary_key not in schema.names
        if self._is_keyless and not is_of_values(schema):
            raise missing_key(primary_key, schema.names)
        refuse_doubled(schema.names, "the source")
        for column in schema:
            try:
                check_type(column.type)
            except NoForm as error:
                raise DataError(f"column {column.name!r}: {error}") from None
        self._schema, self._primary_key, self._nulls = schema, primary_key, nulls
        nothing = {column.name for column in schema if nulls == "omit" and column.type == pa.null()}
        self._names = sorted({*schema.names} - nothing | {primary_key})
        key = pa.null() if self._is_keyless else schema.field(primary_key).type
        self._key_texts = _key_maker(key, primary_key, key_type, is_of_values(schema))

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """The records of a batch. Raises DataError if it has another schema."""
        if batch.schema != self._schema:
            raise DataError(
                f"the columns changed on the way, from {self._schema} to {batch.schema}: cast them to one type"
            )
        if self._is_keyless:
            batch = batch.append_column(self._primary_key, pa.nulls(batch.num_rows))
        columns = {name: self._texts(name, batch.column(name)) for name in self._names}
        unfit = _unfit(batch, columns, self._primary_key)
        positions = np.arange(batch.num_rows)
        if unfit:
            fit = np.ones(batch.num_rows, bool)
            fit[[one.position for one in unfit]] = False
            positions = positions[fit]
            columns = {name: column.filter(pa.array(fit)) for name, column in columns.items()}
        key = columns[self._primary_key].whole()
        columns[self._primary_key] = Texts((key,))
        return Encoded(positions, key, self._join(columns, len(positions)), unfit)

    def _texts(self, name: str, column: pa.Array) -> Texts:
        if name == self._primary_key:
            return self._key_texts(column)
        found = texts(column)
        if self._nulls == "refuse" and column.null_count:
            nulls = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist()
            found = replace(found, unfit=found.unfit | dict.fromkeys(nulls, "null is refused (nulls='refuse')"))
        return found

    def _join(self, columns: dict[str, Texts], rows: int) -> pa.StringArray:
        """The records. What comes before the key ends with a comma, what comes after it begins with one."""
        pieces: list[Piece] = []
        each = np.arange(rows, dtype=np.int32)
        left = _Edge("{", "{")
        comma, end = "", ","
        for name in self._names:
            column = columns[name]
            if name == self._primary_key:
                end = ""
            lead = f"{comma}{string_text(name)}:"
            null = "" if self._nulls == "omit" else f"{lead}null{end}"
            valid = column.valid
            pieces.append(_between(left, _Edge(lead + column.begin, null, valid)))
            pieces += [(array, each) for array in column.arrays]
            left = _Edge(column.end + end, "", valid)
            comma = comma if end else ","
        pieces.append(_between(left, _Edge("}", "}")))
        return interleaved(pieces, rows)


@dataclass(frozen=True, slots=True)
class _Edge:
    """What is written on one side of a column: where there is a value (None: everywhere), and where it is null."""

    value: str
    null: str
    valid: Mask | None = None


def _between(left: _Edge, right: _Edge) -> Piece:
    """What is written between two columns: one of four texts."""
    if left.valid is None and right.valid is None:
        return pa.array([left.value + right.value]), 0
    texts_ = [one + other for one in (left.null, left.value) for other in (right.null, right.value)]
    first = 1 if left.valid is None else left.valid.view(np.int8)
    second = 1 if right.valid is None else right.valid.view(np.int8)
    return pa.array(texts_), 2 * first + second


def slice_text(records: pa.StringArray) -> bytes:
    """Records as one JSON array, the form of a request's slice."""
    offsets = pa.array([0, len(records)], pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, records), ",")
    return b"".join([b"[", joined[0].as_buffer(), b"]"])


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SettingsError(f"{name}={value!r} is none of {', '.join(map(repr, known))}: choose one")


def missing_key(primary_key: str, names: Iterable[str]) -> DataError:
    """What to say of a source in which no row has the key."""
    return DataError(
        f"the key column {primary_key!r} is missing; the source has {', '.join(names)}: name one of them, as it is "
        "written there"
    )


def _key_maker(type_: pa.DataType, column: str, key_type: str, of_values: bool) -> Callable[[pa.Array], Texts]:
    try:
        return key_texts(type_, key_type, of_values)
    except NoForm as error:
        raise DataError(f"the key column {column!r}: {error}") from None


def _unfit(batch: pa.RecordBatch, columns: dict[str, Texts], primary_key: str) -> list[Unfit]:
    found: dict[int, Unfit] = {}
    no_key = columns[primary_key].unfit
    keys = columns[primary_key].whole() if any(column.unfit for column in columns.values()) else None
    for name, column in columns.items():
        for position, reason in column.unfit.items():
            if position not in found:
                key = None if keys is None or position in no_key else keys[position].as_py()
                found[position] = Unfit(position, name, shown(batch.column(name)[position]), reason, key)
    return [found[position] for position in sorted(found)]
