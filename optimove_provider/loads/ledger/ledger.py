"""What a target has accepted, in layers that never change: key, record, fingerprint, generation, expiry, state.

A commit adds layers with what it changed, and the newest layer wins. What pending loads may have sent lies above all
layers, as unknown, and becomes a layer with the next commit of another load.

A row's generation is not raised when a newer snapshot holds it unchanged: nothing older than the newest committed
snapshot is sent at all, and a key that a snapshot lacks is rewritten as removed.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.lease import Lease
from optimove_provider.loads.ledger.manifest import (
    CommitConflict,
    Layer,
    Manifest,
    ManifestFile,
    Pending,
    Sent,
    Snapshot,
    target_id,
)
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ALGORITHM, LEDGER, Batches
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging

NO_LEDGER = (
    "[optimove] staging is on a storage without compare-and-swap: this load has no ledger, so nothing keeps an older "
    "load from overwriting a newer one, nor two loads from running at once"
)
Numbers = npt.NDArray[np.int64]
MAX_MEMORY = "1.2GB"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a completed batch made true of a target. Folders are in staging.

    `version`: what it was planned against. `sent` has rows of the load, `kept` rows of the ledger that change without
    being sent. `expires`: when what was sent goes, by its TTL. `snapshot`: what the load was, if it was one. `removed`:
    rows that are to be expired next, pending until that is committed too.
    """

    load_id: str
    version: int
    generation: datetime
    sent: str
    kept: str
    committed_at: datetime
    expires: datetime | None = None
    snapshot: Snapshot | None = None
    removed: str | None = None


class Ledger:
    """The ledger of one target."""

    def __init__(self, staging: Staging, target: str) -> None:
        self.staging = staging
        self.manifest_file = ManifestFile(staging, target)
        self.layers_folder = f"{self.manifest_file.folder}/layers"

    def read(self) -> Manifest:
        """The manifest as it is now."""
        return self.manifest_file.read()

    def write_intent(
        self,
        lease: Lease,
        version: int,
        generation: datetime,
        sent: str,
        state: Literal["live", "removed"] = "live",
    ) -> Manifest:
        """Write down, before its first request, what a load may send. Raises OtherPointer, LeaseLost."""

        def edit(manifest: Manifest) -> Manifest:
            _expect(manifest, lease.load_id, version)
            mark = Pending(sent, generation, state, version, manifest.version + 1)
            return manifest.changed(pending={**manifest.pending, lease.load_id: mark})

        return lease.change(edit)

    def withdraw_intent(self, lease: Lease) -> Manifest:
        """Take the mark of a load back of which certainly nothing arrived. Raises LeaseLost."""

        def edit(manifest: Manifest) -> Manifest:
            others = {load_id: mark for load_id, mark in manifest.pending.items() if load_id != lease.load_id}
            return manifest.changed(pending=others)

        return lease.change(edit)

    def invalidate(self, lease: Lease, rows: Iterable[tuple[str, str | None]], generation: datetime) -> Manifest:
        """Write down, before it is sent, what another way of writing concerns: the next load sends it again.

        `rows` are keys as JSON text, each with its record, canonical JSON text, or None where that is not known.
        """
        return self._commit(lease, _settle, [self.write_layer(_unknown(rows, generation))])

    def resolve_as_unknown(self, lease: Lease) -> Manifest:
        """Take what pending loads, this one included, may have sent for unknown; nothing is pending any more.

        For an import that nobody could confirm, or that nobody waits for.
        """
        return self._commit(lease, _settle, [])

    def commit(
        self, lease: Lease, accepted: Accepted, rejected: Collection[int] = (), sent_before: bool = False
    ) -> Manifest:
        """Enter what was acknowledged; `rejected` rows, by their numbers, were not.

        `sent_before`: nobody knows what became of an earlier batch of the same rows, so the rejected ones are unknown.

        Raises OtherPointer where the ledger is no longer what was planned against, and LeaseLost where another load has
        the lease: then nothing is entered, and the load stays pending.
        """
        before = lease.owned(self.read())
        if before.has_applied(accepted.load_id, accepted.version):
            return before  # the process ended between the commit and remembering it
        _expect(before, accepted.load_id, accepted.version)  # before the work
        refused = _numbers(rejected)
        sent = [self.write_layer(self._sent(accepted, refused), distinct=True)] if rejected else self._linked(accepted)
        doubtful = [self.write_layer(self._doubtful(accepted, refused))] if rejected and sent_before else []
        added = [*self._copied(accepted.kept), *doubtful, *sent]
        return self._commit(lease, lambda manifest: _committed(manifest, accepted), added, accepted.load_id)

    def commit_expired(
        self, lease: Lease, version: int, generation: datetime, expired: Batches, rejected: Collection[int] = ()
    ) -> Manifest:
        """Enter tombstones for rows that were sent again to expire; the load is pending no more. Raises as `commit`.

        The `rejected` ones stay as they were.
        """

        def edit(manifest: Manifest) -> Manifest:
            if manifest.version != version:
                raise conflict(lease.load_id, version, manifest.version)
            return _settle(manifest)

        refused = _numbers(rejected)
        tombstones = self.write_layer(_tombstones(_without(batch, refused), generation) for batch in expired)
        return self._commit(lease, edit, [tombstones], lease.load_id)

    def _commit(
        self, lease: Lease, edit: Callable[[Manifest], Manifest], added: list[Layer], load_id: str = ""
    ) -> Manifest:
        """Put layers on top. What other loads may have sent goes below them, and is pending no more."""
        before = lease.owned(self.read())
        stack = [*self._copied_pending(before, load_id), *added]

        def add(manifest: Manifest) -> Manifest:
            if (manifest.version, manifest.layers) != (before.version, before.layers):
                raise conflict(lease.load_id, before.version, manifest.version)
            return edit(manifest).changed(layers=(*manifest.layers, *(layer for layer in stack if layer.rows)))

        return lease.change(add)

    def write_layer(self, batches: Batches, distinct: bool = False) -> Layer:
        """Write rows to a new file, which belongs to the ledger once the manifest names it."""
        path = f"{self.layers_folder}/{uuid.uuid4()}.parquet"
        return Layer(path, row_files.write(self.staging, path, batches, LEDGER), ALGORITHM, distinct=distinct)

    def _linked(self, accepted: Accepted) -> list[Layer]:
        """What was sent, as it is: nothing is written again."""
        sent = Sent(accepted.load_id, accepted.generation, accepted.expires, accepted.version)
        found = []
        for path in row_files.sent_parts(self.staging, accepted.sent):
            own = f"{self.layers_folder}/{uuid.uuid4()}.parquet"
            rows, made = row_files.described(self.staging, path)
            self.staging.link(path, own)
            found.append(Layer(own, rows, ALGORITHM if made else "", sent, distinct=True))
        return found

    def _copied(self, folder: str) -> list[Layer]:
        paths = row_files.parts(self.staging, folder)
        return [self.write_layer(row_files.read(self.staging, path, LEDGER.names)) for path in paths]

    def _copied_pending(self, manifest: Manifest, without: str) -> list[Layer]:
        sources = layers.of_pending(self.staging, manifest, without)
        found = layers.read(self.staging, sources, LEDGER.names)
        return [self.write_layer(batch.select(LEDGER.names) for batch in found)] if sources else []

    def _doubtful(self, accepted: Accepted, refused: Numbers) -> Iterator[pa.RecordBatch]:
        for batch in self._rows_of(accepted):
            some = _among(batch, refused)
            yield _rows(some["_key"], some["_record"], pa.nulls(len(some), pa.binary()), accepted.generation)

    def _sent(self, accepted: Accepted, refused: Numbers) -> Iterator[pa.RecordBatch]:
        for batch in self._rows_of(accepted):
            some = _without(batch, refused)
            made = row_files.fingerprints(some["_record"])
            yield _rows(some["_key"], some["_record"], made, accepted.generation, accepted.expires)

    def _rows_of(self, accepted: Accepted) -> Iterator[pa.RecordBatch]:
        for path in row_files.sent_parts(self.staging, accepted.sent):
            yield from row_files.read(self.staging, path, ("_row", "_key", "_record"))


def ledger_of(staging: Staging, kind: str, host: str, target: str) -> Ledger | None:
    """The ledger of a target, as `target_id` names it; None where staging cannot hold one."""
    return (
        Ledger(staging, target_id(kind, host, target))
        if compare_and_swap.supports_compare_and_swap(staging.fs)
        else None
    )


def _rows(
    keys: pa.Array,
    records: pa.Array,
    made: pa.Array,
    generation: datetime,
    expires: datetime | None = None,
    state: str = "live",
) -> pa.RecordBatch:
    rest = (
        pa.repeat(pa.scalar(value, LEDGER.field(name).type), len(keys))
        for name, value in {"generation": generation, "expires": expires, "state": state}.items()
    )
    return pa.record_batch([keys, records, made, *rest], schema=LEDGER)


def _numbers(rows: Collection[int]) -> Numbers:
    return np.fromiter(rows, np.int64, len(rows))


def _among(batch: pa.RecordBatch, numbers: Numbers, invert: bool = False) -> pa.RecordBatch:
    return batch.filter(pa.array(np.isin(batch["_row"].to_numpy(), numbers, invert=invert)))


def _without(batch: pa.RecordBatch, numbers: Numbers) -> pa.RecordBatch:
    return _among(batch, numbers, invert=True)


def _unknown(rows: Iterable[tuple[str, str | None]], generation: datetime) -> Iterator[pa.RecordBatch]:
    left = iter(rows)
    while some := list(islice(left, row_files.ROW_GROUP)):
        keys, records = (pa.array(column, pa.string()) for column in zip(*some, strict=True))
        yield _rows(keys, records, pa.nulls(len(keys), pa.binary()), generation)


def _tombstones(batch: pa.RecordBatch, generation: datetime) -> pa.RecordBatch:
    nothing = pa.nulls(batch.num_rows, pa.string())
    return _rows(batch["_key"], nothing, nothing.cast(pa.binary()), generation, state="tombstone")


def _settle(manifest: Manifest) -> Manifest:
    return replace(manifest, pending={})


def _committed(manifest: Manifest, accepted: Accepted) -> Manifest:
    _expect(manifest, accepted.load_id, accepted.version)
    version = manifest.version + 1
    mark = accepted.removed and Pending(accepted.removed, accepted.generation, "removed", version, version)
    return replace(
        manifest,
        snapshot=accepted.snapshot or manifest.snapshot,
        committed_at=accepted.committed_at,
        committed_by=accepted.load_id,
        committed_plan=accepted.version,
        pending={accepted.load_id: mark} if mark else {},
    )


def _expect(manifest: Manifest, load_id: str, version: int) -> None:
    if not manifest.is_base_of(load_id, version):
        raise conflict(load_id, version, manifest.version)


def conflict(load_id: str, expected: int, found: int) -> CommitConflict:
    """The error of a load that expected one version of the ledger, and found another."""
    return CommitConflict(
        f"load {load_id} was planned against version {expected} of the ledger, which others have brought to version "
        f"{found} since. Nothing of the load is entered; a retry plans again from its frozen rows"
    )
