"""New layers: the rows that a change of the ledger brings in, written to files of their own, or linked as they are."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.ledger import keys, layers, query
from optimove_provider.loads.ledger.keys import Rejected
from optimove_provider.loads.ledger.manifest import Layer, Manifest, Origin
from optimove_provider.loads.spool import row_digests, row_files
from optimove_provider.loads.spool.row_files import ALGORITHM, LEDGER, Batches
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Integers


class LayerWriter:
    """Makes the files of a ledger's layers. They belong to it once its manifest names them."""

    def __init__(self, staging: Staging, folder: str) -> None:
        self.folder, self._staging = folder, staging

    def write(self, batches: Batches, distinct: bool = False) -> Layer:
        """A layer of rows of a ledger."""
        path = self._new_path()
        rows = row_files.write(self._staging, path, batches, LEDGER)
        return Layer(path, rows, ALGORITHM, distinct=distinct, has_evidence=True)

    def link(self, folder: str, origin: Origin) -> list[Layer]:
        """Layers of what a load sent, as it is: nothing is written again."""
        found, paths = list[Layer](), row_files.sendable_paths(self._staging, folder)
        for path in paths:
            own = self._new_path()
            rows, has_fingerprints = row_files.describe(self._staging, path)
            self._staging.link(path, own)
            found.append(Layer(own, rows, ALGORITHM if has_fingerprints else "", origin, distinct=True))
        if sum(layer.rows for layer in found) >= row_digests.FROM_ROWS:
            for path, layer in zip(paths, found, strict=True):
                row_digests.link(self._staging, path, layer.path)
        return found

    def keep_digests(self, layers: Sequence[Layer], seed: str) -> None:
        """Keep digests beside layers that lie at the bottom, where these have many rows."""
        if sum(layer.rows for layer in layers) >= row_digests.FROM_ROWS:
            own = (layer.path for layer in layers if layer.distinct and layer.algorithm == ALGORITHM)
            row_digests.keep(self._staging, own, seed)

    def copy(self, folder: str) -> list[Layer]:
        """Layers of files that have rows of a ledger already."""
        return [self._copied(path) for path in row_files.paths(self._staging, folder)]

    def _copied(self, path: str) -> Layer:
        """The plan may be of a try of format 1."""
        source = layers.stored_rows(path, has_evidence="evidence" in row_files.columns(self._staging, path))
        found = layers.read(self._staging, [source], LEDGER.names)
        return self.write(batch.select(LEDGER.names) for batch in found)

    def resolved(self, manifest: Manifest, without: str = "") -> list[Layer]:
        """What all loads but one may have sent, as unknown."""
        sources = layers.of_intents(self._staging, manifest, without)
        found = layers.read(self._staging, sources, LEDGER.names)
        return [self.write(batch.select(LEDGER.names) for batch in found)] if sources else []

    def accepted(self, folder: str, origin: Origin, rejected: Collection[int]) -> Layer:
        """What a load sent, but for the rejected rows, by their numbers."""
        return self.write(self._accepted(folder, origin, _numbers(rejected)), distinct=True)

    def doubtful(self, folder: str, origin: Origin, rejected: Collection[int]) -> Layer:
        """The rejected rows of a load, as unknown."""
        return self.write(self._doubtful(folder, origin, _numbers(rejected)))

    def rejected(self, manifest: Manifest, rejected: Rejected) -> Layer:
        """What is known of keys that a load had and could not bring, as of its age."""
        return self.write(keys.of_rejected(self._staging, manifest, rejected), distinct=True)

    def keys(self, folder: str, numbers: Collection[int]) -> Iterator[pa.RecordBatch]:
        """The keys of some rows of a load, by their numbers, as batches of `_key`."""
        wanted = _numbers(numbers)
        return (_among(batch, wanted) for batch in self.rows_of(folder, "_row", "_key"))

    def unknown(
        self, manifest: Manifest, rows: Iterable[tuple[str, str | None]], age: Age, until: datetime | None
    ) -> Layer:
        """Keys as JSON text of which nobody knows what the target holds, each with the record that it may be.

        Where the target surely has a key, it has it `until` then; None if it is for good.
        """
        batches = query.with_last_known(self._staging, manifest, _keyed(rows))
        return self.write(_unknown(batch, age, until) for batch in batches)

    def tombstones(self, folder: str, age: Age, rejected: Collection[int]) -> Layer:
        """Rows of a load that expire, but for the rejected ones."""
        numbers, expired = _numbers(rejected), self.rows_of(folder, "_row", "_key")
        return self.write(layers.tombstones(_without(batch, numbers)["_key"], age) for batch in expired)

    def _new_path(self) -> str:
        return f"{self.folder}/{self._staging.surroundings.new_id()}.parquet"

    def _accepted(self, folder: str, origin: Origin, rejected: Integers) -> Iterator[pa.RecordBatch]:
        for batch in self.rows_of(folder):
            some = _without(batch, rejected)
            made = row_files.fingerprints(some["_record"])
            stamps = row_files.stamps_of(some)
            rows = layers.rows_of(some["_key"], some["_record"], made, origin.age, origin.expires, stamps=stamps)
            yield layers.with_values(rows, evidence=origin.evidence, unproven_since=origin.unproven_since)

    def _doubtful(self, folder: str, origin: Origin, rejected: Integers) -> Iterator[pa.RecordBatch]:
        for batch in self.rows_of(folder):
            some = _among(batch, rejected)
            made = row_files.fingerprints(some["_record"])
            nothing, stamps = pa.nulls(len(some), pa.binary()), row_files.stamps_of(some)
            rows = layers.rows_of(some["_key"], some["_record"], nothing, origin.age, judged_by=made, stamps=stamps)
            yield layers.with_values(rows, unproven_since=origin.age.opened)

    def rows_of(self, folder: str, *columns: str) -> Iterator[pa.RecordBatch]:
        """The rows that a load sent: number, key and record of each, unless other columns are named."""
        for path in row_files.sendable_paths(self._staging, folder):
            yield from row_files.read(self._staging, path, columns or ("_row", "_key", "_record", "_stamp"))


def _numbers(rows: Collection[int]) -> Integers:
    return np.fromiter(rows, np.int64, len(rows))


def _among(batch: pa.RecordBatch, numbers: Integers, invert: bool = False) -> pa.RecordBatch:
    return batch.filter(pa.array(np.isin(batch["_row"].to_numpy(), numbers, invert=invert)))


def _without(batch: pa.RecordBatch, numbers: Integers) -> pa.RecordBatch:
    return _among(batch, numbers, invert=True)


def _keyed(rows: Iterable[tuple[str, str | None]]) -> Iterator[pa.RecordBatch]:
    left = iter(rows)
    while some := list(islice(left, row_files.ROW_GROUP)):
        columns = [pa.array(column, pa.string()) for column in zip(*some, strict=True)]
        yield pa.record_batch(columns, names=["key", "record"])


def _unknown(batch: pa.RecordBatch, age: Age, until: datetime | None) -> pa.RecordBatch:
    judged_by = pc.coalesce(row_files.fingerprints(batch["record"]), batch["judged_by"])
    nothing = pa.nulls(len(batch), pa.binary())
    rows = layers.rows_of(batch["key"], batch["record"], nothing, age, judged_by=judged_by)
    field = LEDGER.field("unproven_since")
    unproven = pc.if_else(batch["is_there"], pa.scalar(until, field.type), pa.scalar(age.opened, field.type))
    return rows.set_column(LEDGER.get_field_index(field.name), field, unproven)
