"""The rows of a ledger as they are stored: its layers, oldest first, then those of the intents.

Every stored row has a `position` in that order, from 0. Of the rows with one key, the one at the last position counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.ledger.manifest import Intent, Layer, Manifest
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.lost_rows import LostRows, opened
from optimove_provider.loads.spool.row_files import ALGORITHM, LEDGER
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Mask

_OF_ROWS = {
    "key": "_key",
    "record": "_record",
    "fingerprint": "_fingerprint",
    "judged_by": "_fingerprint",
    "stamp": "_stamp",
}
_OF_OWED = {
    "key": "_key",
    "record": "_record",
    "judged_by": "_fingerprint",
    "generation": "mark_generation",
    "opened": "mark_opened",
    "unproven_since": "mark_opened",
    "stamp": "_stamp",
}
_OF_FORMAT_1 = {**{name: name for name in LEDGER.names}, "unproven_since": "opened"}
_OF_LEDGER = {name: name for name in LEDGER.names}
_MADE = ("fingerprint", "judged_by")


@dataclass(frozen=True, slots=True)
class Source:
    """A file whose rows belong to the ledger. `constants`: what is true of all of them; `names`: which column of the
    file any other column of the ledger is.

    Fingerprints that were made in another way, or that a load's rows have none of yet, are made from the records.
    """

    path: str
    algorithm: str = ALGORITHM
    constants: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=lambda: _OF_LEDGER)

    def stored(self, columns: Sequence[str]) -> list[str]:
        """The columns of the file that are needed to make these columns of the ledger."""
        makes = self.remade and any(name in columns for name in _MADE)
        needed = dict.fromkeys([*columns, *(["record"] if makes else [])])
        return list(dict.fromkeys(self.names[name] for name in needed if name not in self.constants))

    def column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """A column of the ledger."""
        if name in self.constants:
            return pa.repeat(pa.scalar(self.constants[name], LEDGER.field(name).type), batch.num_rows)
        found = self._stored(batch, name)
        if name not in _MADE or not self.remade:
            return found
        made = row_files.fingerprints(self._stored(batch, "record"))
        return made if self.is_of_load else pc.if_else(found.is_null(), pa.scalar(None, pa.binary()), made)

    @property
    def is_of_load(self) -> bool:
        """Whether it has rows of a load, as they were frozen."""
        return self.names is _OF_ROWS

    @property
    def remade(self) -> bool:
        """Whether its fingerprints have to be made from its records."""
        return self.algorithm != ALGORITHM

    def _stored(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """A column of the file; files of older versions have no stamps."""
        own = self.names[name]
        is_there = name != "stamp" or own in batch.schema.names
        return batch.column(own) if is_there else pa.nulls(batch.num_rows, pa.string())


def stored_rows(path: str, algorithm: str = ALGORITHM, has_evidence: bool = True) -> Source:
    """A file of rows of a ledger. Without evidence, as format 1 wrote them, they were accepted, for all that is known,
    when their source was opened."""
    return Source(path, algorithm) if has_evidence else Source(path, algorithm, {"evidence": None}, _OF_FORMAT_1)


def _of_layer(layer: Layer) -> Source:
    origin = layer.origin
    if origin is None:
        return stored_rows(layer.path, layer.algorithm, layer.has_evidence)
    constants = {
        **asdict(origin.age),
        "judged_by": None,
        "expires": origin.expires,
        "state": "live",
        "evidence": origin.evidence,
        "unproven_since": origin.unproven_since,
    }
    return Source(layer.path, layer.algorithm, constants, _OF_ROWS)


def _of_intent(staging: Staging, path: str, intent: Intent) -> Source:
    """What a load may have sent is not known to have arrived, so it has no fingerprint, but is judged by it."""
    unproven = {"unproven_since": intent.age.opened}
    constants = {**dict.fromkeys(_NOT_KNOWN), **asdict(intent.age), **unproven, "state": intent.state}
    _, has_fingerprints = row_files.describe(staging, path)
    return Source(path, ALGORITHM if has_fingerprints else "", constants, _OF_ROWS)


def _of_owed_intent(path: str) -> Source:
    """The same of owed rows, which are just older than the age that they are to be accepted with."""
    return Source(path, constants={**dict.fromkeys(_NOT_KNOWN), "state": "live"}, names=_OF_OWED)


_NOT_KNOWN = ("fingerprint", "expires", "evidence")


def of_layers(layers: Sequence[Layer]) -> list[Source]:
    """Where the rows of some layers are."""
    return [_of_layer(layer) for layer in layers]


def of_intents(staging: Staging, manifest: Manifest, without: str = "") -> list[Source]:
    """Where the rows of the intents are, the last intent last; `without` that of one load."""
    order = sorted((one.written_as, load_id) for load_id, one in manifest.intents.items() if load_id != without)
    found = [manifest.intents[load_id] for _, load_id in order]
    return [source for one in found for source in _of_one_intent(staging, one)]


def _of_one_intent(staging: Staging, intent: Intent) -> Iterator[Source]:
    """Raises LostRows where they are gone: whatever was sent of them, no load may go on as if nothing had been."""
    own = row_files.sendable_paths(staging, intent.folder)
    owed = row_files.paths(staging, intent.owed) if intent.owed else []
    if not own and not owed:
        raise LostRows.at(staging, intent.folder, "is empty, which has the rows that a load may have sent")
    yield from (_of_intent(staging, path, intent) for path in own)
    yield from map(_of_owed_intent, owed)


def of_all(staging: Staging, manifest: Manifest) -> list[Source]:
    """Where all rows are, the oldest first."""
    return [*of_layers(manifest.layers), *of_intents(staging, manifest)]


def read(
    staging: Staging, sources: Sequence[Source], columns: Sequence[str], wanted: Mask | None = None, first: int = 0
) -> Iterator[pa.RecordBatch]:
    """Rows of the ledger, some columns of them, and their `position`, which begins at `first`.

    With a mask of positions, only the rows that are wanted; a row group without one is not read.
    """
    position = first
    for source in sources:
        with opened(staging, source.path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                own = wanted if wanted is None else wanted[position : position + rows]
                if rows and (own is None or own.any()):
                    for stored in file.iter_batches(rows, row_groups=[group], columns=source.stored(columns)):
                        batch = _as_ledger(source, stored, columns, position)
                        yield batch if own is None else batch.filter(pa.array(own))
                position += rows


def _as_ledger(source: Source, stored: pa.RecordBatch, columns: Sequence[str], first: int) -> pa.RecordBatch:
    positions = pa.array(np.arange(first, first + stored.num_rows, dtype=np.int64))
    return pa.record_batch([*(source.column(stored, name) for name in columns), positions], schema=schema(columns))


def schema(columns: Sequence[str]) -> pa.Schema:
    """The schema of what `read` gives."""
    return pa.schema([*(LEDGER.field(name) for name in columns), ("position", pa.int64())])


def counts(staging: Staging, sources: Sequence[Source]) -> list[int]:
    """How many rows each has. Raises DataError for a file of a newer format."""
    return [_count(staging, source.path) for source in sources]


def _count(staging: Staging, path: str) -> int:
    with opened(staging, path) as file:
        found = file.metadata
    row_files.check_format(found, path)
    return int(found.num_rows)


def rows_of(
    keys: pa.Array,
    records: pa.Array,
    fingerprints: pa.Array,
    age: Age,
    expires: datetime | None = None,
    state: str = "live",
    judged_by: pa.Array | None = None,
    stamps: pa.Array | None = None,
) -> pa.RecordBatch:
    """Rows of a ledger that have one age, expiry and state, and no evidence."""
    judged_by = pa.nulls(len(keys), pa.binary()) if judged_by is None else judged_by
    stamps = pa.nulls(len(keys), pa.string()) if stamps is None else stamps
    constants = {**asdict(age), "expires": expires, "state": state, "evidence": None, "unproven_since": None}
    rest = (pa.repeat(pa.scalar(value, LEDGER.field(name).type), len(keys)) for name, value in constants.items())
    return pa.record_batch([keys, records, fingerprints, judged_by, *rest, stamps], schema=LEDGER)


def tombstones(keys: pa.Array, age: Age) -> pa.RecordBatch:
    """Rows that say of keys, JSON texts, that the target does not have them, as of an age."""
    nothing = pa.nulls(len(keys), pa.string())
    return rows_of(keys, nothing, nothing.cast(pa.binary()), age, state="tombstone")


def with_values(batch: pa.RecordBatch, **values: Any) -> pa.RecordBatch:
    """Rows of the ledger of which all have these values."""
    for name, value in values.items():
        field = LEDGER.field(name)
        column = pa.repeat(pa.scalar(value, field.type), batch.num_rows)
        batch = batch.set_column(LEDGER.get_field_index(name), field, column)
    return batch
