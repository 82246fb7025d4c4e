"""Columns of values that no single type holds: each value has its own text for JSON and for CSV, or says why not."""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from optimove_provider.records.arrow.text_arrays import indices, mask
from optimove_provider.records.arrow.types import Mask

NESTED = "a list or an object has no form in CSV: cast it to text, or give its members columns of their own"


class Forms(NamedTuple):
    """What one value becomes.

    `json` is JSON text, `cell` the text of a CSV cell. Where `no_json` says why there is none, `json` is JSON that is
    refused for the same reason when it is read, if there is such; where `no_cell` does, `cell` is for people. An
    `instant`, in UTC, has its cell from the column's format, as in a column of instants. `no_id` says why a value that
    has a cell is no key and no whole number.
    """

    json: str | None
    cell: str | None
    no_json: str | None = None
    no_cell: str | None = None
    instant: datetime | None = None
    no_id: str | None = None


_STORAGE = pa.struct(
    [(name, pa.timestamp("us") if name == "instant" else pa.string()) for name in Forms._fields],
)


class Formless:
    """A value without a form, as far as it can be shown."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __repr__(self) -> str:
        return self._shown


class MixedScalar(pa.ExtensionScalar):  # type: ignore[misc] # Arrow ships no types
    """One value."""

    def as_py(self, **_: Any) -> Any:
        """The value as Python has it: documents are JSON text, what has no form is `Formless`."""
        if not self.is_valid:
            return None
        forms = Forms(**self.value.as_py())
        if forms.no_json is not None:
            return Formless(forms.cell or "")
        if forms.instant is not None:
            return forms.instant
        document = str(forms.json)
        if document[0] in "[{":
            return document
        return json.loads(document, parse_float=Decimal if forms.no_id is None else float)


class MixedType(pa.ExtensionType):  # type: ignore[misc] # Arrow ships no types
    """The type of such a column. It is stored as the `Forms` of its values."""

    def __init__(self) -> None:
        super().__init__(_STORAGE, "optimove.mixed")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "MixedType":
        return cls()

    def __arrow_ext_scalar_class__(self) -> type[MixedScalar]:
        return MixedScalar


# A file that batches wait in is read as what was written.
with suppress(pa.ArrowKeyError):
    pa.register_extension_type(MixedType())


def mixed_column(values: Iterable[Forms | None]) -> pa.ExtensionArray:
    """A column of values of which each has its own forms; None is null."""
    forms = list(values)
    none: tuple[None, ...] = (None,) * len(Forms._fields)
    columns = zip(*(one or none for one in forms), strict=True) if forms else [()] * len(none)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _STORAGE, strict=True)]
    nulls = pa.array([one is None for one in forms], pa.bool_())
    storage = pa.StructArray.from_arrays(arrays, fields=list(_STORAGE), mask=nulls)
    return pa.ExtensionArray.from_storage(MixedType(), storage)


def form(column: pa.ExtensionArray, name: str) -> pa.Array:
    """One of the `Forms` of each value."""
    return column.storage.field(name)


def told(column: pa.ExtensionArray, name: str) -> tuple[Mask, dict[int, str]]:
    """Where there is a reason (`no_json`, `no_cell` or `no_id`), and each by its index."""
    reasons = form(column, name)
    there = mask(reasons.is_valid())
    return there, {index: reasons[index].as_py() for index in indices(there)}
