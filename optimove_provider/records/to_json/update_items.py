"""Record batches as the items of an update: the key apart from the other fields, and a time to live of its own."""

import json
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.kinds import LONGEST_TTL_SECONDS
from optimove_provider.records.rows import is_of_values
from optimove_provider.records.to_json.encode import Encoded, Encoder, Unfit
from optimove_provider.records.to_json.scalars import string_text

_APART = ""
"""The key's name while a record is encoded: it comes first then, so the other fields are what follows it."""


class ItemEncoder:
    """Encodes batches of one schema as `{"primary_key": key, "data": {...}, "ttl": seconds}`.

    `ttl_column` holds each item's time to live in seconds and is no field of the record; where it is null or empty, and
    without it, `ttl_seconds` counts. None means that the item never expires. Raises what `Encoder` raises.
    """

    def __init__(
        self,
        schema: pa.Schema,
        primary_key: str,
        key_type: str = "string",
        nulls: str = "omit",
        ttl_column: str | None = None,
        ttl_seconds: int | None = None,
    ) -> None:
        if primary_key == ttl_column:
            raise DataError(f"column {primary_key!r} is to be the key and the time to live: name two columns")
        for name in filter(None, (primary_key, ttl_column)):
            if name not in schema.names and not is_of_values(schema):
                raise DataError(
                    f"the column {name!r} is missing; the source has {', '.join(schema.names)}: name one of them"
                )
        self._primary_key, self._ttl_column, self._ttl = primary_key, ttl_column, _ttl_text(ttl_seconds)
        self._fields = [name for name in schema.names if name != ttl_column]
        self._names = [_APART if name == primary_key else name for name in self._fields]
        fields = [schema.field(name).with_name(own) for name, own in zip(self._fields, self._names, strict=True)]
        self._encoder = Encoder(pa.schema(fields, schema.metadata), _APART, key_type, nulls)

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """The items of a batch, as `records`."""
        found = self._encoder.encode(batch.select(self._fields).rename_columns(self._names))
        ttls, unfit = self._ttls(batch)
        if unfit:
            own = dict(zip(found.positions.tolist(), found.keys.to_pylist(), strict=True))
            own |= {one.position: one.key for one in found.unfit}
            unfit = [replace(one, key=own.get(one.position)) for one in unfit]
        unfit += [replace(one, column=one.column or self._primary_key) for one in found.unfit]
        bad = {one.position for one in unfit}
        items = [
            (position, key, _item(key, record, ttls[position]))
            for position, key, record in zip(
                found.positions.tolist(), found.keys.to_pylist(), found.records.to_pylist(), strict=True
            )
            if position not in bad
        ]
        positions, keys, records = zip(*items, strict=True) if items else ((), (), ())
        first = {one.position: one for one in reversed(unfit)}
        return Encoded(
            np.array(positions, np.int64),
            pa.array(keys, pa.string()),
            pa.array(records, pa.string()),
            [first[position] for position in sorted(first)],
        )

    def _ttls(self, batch: pa.RecordBatch) -> tuple[list[str], list[Unfit]]:
        if self._ttl_column is None or self._ttl_column not in batch.schema.names:
            return [self._ttl] * batch.num_rows, []
        ttls, unfit = [self._ttl] * batch.num_rows, []
        for position, value in enumerate(batch.column(self._ttl_column).to_pylist()):
            if value is None or value == "":
                continue
            try:
                ttls[position] = _ttl_text(_positive(value))
            except ValueError:
                unfit.append(Unfit(position, self._ttl_column, repr(value)[:200], _EXPECTED))
        return ttls, unfit


_EXPECTED = f"expected whole seconds from 1 to {LONGEST_TTL_SECONDS}, or none"
_WHOLE = re.compile(r"\s*(\d{1,15})(?:\.0*)?\s*", re.ASCII)


def _positive(value: object) -> int:
    """Whole seconds; 60.0 are such too, as files have no whole numbers in a column with nulls."""
    found = _WHOLE.fullmatch(str(value))
    if not found or not 0 < int(found[1]) <= LONGEST_TTL_SECONDS:
        raise ValueError(value)
    return int(found[1])


def as_source(item: str, primary_key: str, ttl_column: str | None) -> str:
    """The record that an item was made of: its fields, the key and the time to live by the names of the source."""
    key, at = _value(item, item.index(":") + 1)
    data, at = _value(item, at + len(',"data":'))
    ttl, _ = _value(item, at + len(',"ttl":'))
    members = [f"{string_text(primary_key)}:{key}", data[1:-1]]
    members += [f"{string_text(ttl_column)}:{ttl}"] if ttl_column else []
    return "{" + ",".join(filter(None, members)) + "}"


_DECODER = json.JSONDecoder()


def _value(text: str, begin: int) -> tuple[str, int]:
    """The JSON value that begins there, as it is written, and where it ends."""
    _, end = _DECODER.raw_decode(text, begin)
    return text[begin:end], end


def _ttl_text(ttl_seconds: int | None) -> str:
    return "null" if ttl_seconds is None else str(ttl_seconds)


def _item(key: str, record: str, ttl: str) -> str:
    rest = record[len('{"":') + len(key) :].removeprefix(",")
    return f'{{"primary_key":{key},"data":{{{rest},"ttl":{ttl}}}'
