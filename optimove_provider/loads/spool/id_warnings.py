"""What is odd about the keys of a load, told by the rule book that `validate` has."""

import json
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.records.arrow.mixed import MixedType, form
from optimove_provider.records.arrow.text_arrays import mask
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings import file_rules
from optimove_provider.records.findings.findings import WARNING, Findings
from optimove_provider.records.observe.identifiers import KeyObserver
from optimove_provider.records.to_json.scalars import is_text


class IdWarnings:
    """Watches the keys of a load that are text: those of a column of numbers can be neither padded nor damaged.
    `all_seen` tells whether there were no others."""

    def __init__(self, primary_key: str) -> None:
        self._name, self.all_seen = primary_key, True
        self._observer = KeyObserver(0, primary_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._observer.close()

    def see(self, batch: pa.RecordBatch, before: int) -> None:
        """Look at the keys of rows, of which there are so many before."""
        found, are_all = keys_of(batch, self._name, before)
        self.all_seen = self.all_seen and are_all
        self.add(found)

    def add(self, found: pa.RecordBatch) -> None:
        """Look at keys, each with its row, as `keys_of` gives them."""
        rows = found["row"].to_numpy()
        nowhere = np.zeros(len(rows), np.int64)
        self._observer.see(Locations(rows, nowhere, nowhere), found["key"])

    @property
    def repeat(self) -> bool:
        """Whether any was there before, as it is. All are compared then, and no more can be looked at."""
        return file_rules.ID_DUPLICATE.name in dict(self._observer.counts())

    def add_to(self, findings: Findings) -> None:
        """Count what was found, and keep the first of it; keys that are there twice refuse the load elsewhere."""
        for rule, count in self._observer.counts():
            findings.count(rule, self._name, WARNING, count)
        for finding in self._observer.findings():
            if not findings.room(WARNING):
                break
            findings.keep(finding)


def keys_of(batch: pa.RecordBatch, primary_key: str, before: int) -> tuple[pa.RecordBatch, bool]:
    """The keys of rows, of which there are so many before, as a batch of `row` and `key`, those that are text; and
    whether these are all."""
    column = batch.column(primary_key) if primary_key in batch.schema.names else pa.nulls(batch.num_rows)
    keys = _texts(column)
    if keys is None:
        keys = pa.nulls(batch.num_rows, pa.binary())
    rows, are_all = np.arange(before + 1, before + 1 + len(keys)), keys.null_count == column.null_count
    if keys.null_count:
        rows, keys = rows[mask(keys.is_valid())], keys.drop_null()
    return pa.record_batch({"row": rows, "key": keys}), are_all


def _texts(column: pa.Array) -> pa.BinaryArray | None:
    """The keys as bytes; None if they are no text. Of documents, the strings; other documents are null."""
    type_ = column.type
    if pa.types.is_dictionary(type_) and is_text(type_.value_type):
        return column.cast(pa.string()).cast(pa.binary())
    if isinstance(type_, pa.JsonType | MixedType):
        texts = form(column, "json") if isinstance(type_, MixedType) else column.storage.cast(pa.string())
        if not pc.any(pc.starts_with(texts, '"')).as_py():
            return None
        return pa.array(map(_string, texts.to_pylist()), pa.binary())
    return column.cast(pa.string()).cast(pa.binary()) if is_text(type_) else None


def _string(text: str | None) -> bytes | None:
    value = json.loads(text) if text and text.startswith('"') else None
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else None
