"""Moving ledgers as they are: to another name of their target, or to another staging. Nothing is ever true at both."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.ledger.compaction import StillPending, empty
from optimove_provider.loads.ledger.lease import Held, Lease, TargetBusy, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import CommitConflict, Layer, Manifest, Owed, PlanRef, SuppressionList
from optimove_provider.loads.spool.row_digests import ENDING, is_kept

MOVING = "airflow optimove ledger move"


@dataclass(frozen=True, slots=True)
class Move:
    """From one ledger to another one, which must be empty; `beside`: small files that lie beside a manifest."""

    source: Ledger
    to: Ledger
    beside: tuple[str, ...] = ()


def move(moves: Sequence[Move]) -> None:
    """Move ledgers that belong together, under the leases of all; the last one is the target's.

    Each is there before it goes here. A move that died in between is gone on with, unless a load has written there.
    Raises TargetBusy while a load works on either, StillPending where one may have sent rows that are not entered, and
    DataError where another ledger is there.
    """
    load_id = str(moves[-1].source.staging.surroundings.new_id())
    with ExitStack() as stack:
        leases = [
            stack.enter_context(acquired(one.source.manifest_file, load_id, 1, MOVING)) for one in reversed(moves)
        ]
        for one in moves:
            _refuse_pending(one.source.read())
        for one, lease in zip(moves, reversed(leases), strict=True):
            _copy(one, lease)
        for one, lease in zip(moves, reversed(leases), strict=True):
            lease.check()
            empty(one.source, lease, False, *one.beside)


def _refuse_pending(manifest: Manifest) -> None:
    if manifest.intents:
        raise StillPending(
            f"loads may have sent rows that are not entered yet: {', '.join(sorted(manifest.intents))}. Their rows lie "
            "where they were frozen, so let their retries, or the next load, end before the ledger is moved"
        )


def _copy(one: Move, lease: Lease) -> None:
    """Write the ledger down where it is to be; the manifest is last, and names what is there by then."""
    seen, there = lease.owned(one.source.read()), one.to.read()
    if _is_copy(there, seen):
        return
    _check_empty(one.to, there)
    copied = tuple(_copied(one, layer) for layer in seen.layers)
    suppressed, owed = copy_list(one.source, seen, one.to, there), _copied_owed(one, seen)
    copy_beside(one.source, one.to, one.beside)

    def put(found: Manifest) -> Manifest:
        _check_empty(one.to, found)
        if found.suppressed != there.suppressed:
            raise CommitConflict.of(PlanRef(lease.load_id, there.version), found.version)
        version = max(seen.version, found.version) + 1
        own = replace(seen, version=version, layers=copied, let_go=found.let_go, holder=None)
        return replace(own, suppressed=suppressed, owed=owed)

    one.to.manifest_file.change(put)


def _is_copy(there: Manifest, seen: Manifest) -> bool:
    """Whether an earlier move has written it, and nobody anything since: layers are called by ids."""
    names = [[path.rpartition("/")[2] for path in _paths(one)] for one in (there, seen)]
    return bool(seen.layers) and names[0] == names[1] and (there.committed, there.intents) == (seen.committed, {})


def _paths(manifest: Manifest) -> list[str]:
    owed = [manifest.owed.path] if manifest.owed else []
    return [*(layer.path for layer in manifest.layers), *owed]


def _check_empty(ledger: Ledger, manifest: Manifest) -> None:
    now, holder = ledger.staging.surroundings.now(), manifest.holder
    if holder and holder.until > now:
        raise TargetBusy(Held(holder.load_id, holder.try_number, holder.until, holder.task))
    check_unused(ledger, manifest)


def check_unused(ledger: Ledger, manifest: Manifest) -> None:
    """Raise DataError for a ledger that says anything."""
    if manifest.layers or manifest.intents or manifest.newest_snapshot or manifest.owed:
        raise DataError(
            f"{ledger.staging.url(ledger.manifest_file.folder)} is a ledger already, of {manifest.rows} rows, and what "
            "it says is not to be lost: if nothing of it is needed, begin it anew with airflow optimove ledger forget, "
            "and give this command again"
        )


def copy_list(source: Ledger, seen: Manifest, to: Ledger, there: Manifest) -> SuppressionList | None:
    """Copy the suppression list; returns the one that counts there: whoever is kept out stays kept out.

    Raises DataError where another list is there already.
    """
    own, other = seen.suppressed, there.suppressed
    if own is None or not own.path:
        return own if own and other and own.salt == other.salt else other
    if other and other.path and own.salt != other.salt:
        raise DataError(
            f"{to.staging.url(to.manifest_file.folder)} has a suppression list of its own, of "
            f"{how_many(other.keys, 'key')}, which this would put another one in the place of: take its keys off, and "
            "put them on the list that is to count afterwards"
        )
    path = f"{to.suppressions}/{own.path.rpartition('/')[2]}"
    copy_file(source, own.path, to, path)
    return replace(own, path=path)


def _copied(one: Move, layer: Layer) -> Layer:
    path = f"{one.to.layers.folder}/{layer.path.rpartition('/')[2]}"
    copy_file(one.source, layer.path, one.to, path)
    if is_kept(one.source.staging, layer.path):
        copy_file(one.source, layer.path + ENDING, one.to, path + ENDING)
    return replace(layer, path=path)


def _copied_owed(one: Move, seen: Manifest) -> Owed | None:
    """The rows that are owed to the target, copied."""
    if seen.owed is None:
        return None
    path = f"{one.to.owed_folder}/{seen.owed.path.rpartition('/')[2]}"
    copy_file(one.source, seen.owed.path, one.to, path)
    return replace(seen.owed, path=path)


def copy_file(source: Ledger, path: str, to: Ledger, new_path: str) -> None:
    """Copy a file of one ledger to another."""
    with source.staging.open(path) as found, to.staging.open_new(new_path) as new:
        shutil.copyfileobj(found, new, 1 << 20)


def copy_beside(source: Ledger, to: Ledger, names: Sequence[str]) -> None:
    """Copy small files that lie beside a manifest."""
    for name in names:
        if content := source.staging.read(f"{source.manifest_file.folder}/{name}"):
            to.staging.write(f"{to.manifest_file.folder}/{name}", content)
