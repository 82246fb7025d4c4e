"""Housekeeping of a ledger: after a commit, layers compacted into one, and files that no manifest names vacuumed; and,
if a person wants it, all of it forgotten."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.lease import Held, Lease, TargetBusy, acquire
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import CommitConflict, Layer, Manifest, PlanRef
from optimove_provider.loads.ledger.query import MAX_MEMORY, current
from optimove_provider.loads.spool.row_digests import ENDING
from optimove_provider.loads.spool.row_files import LEDGER

log = logging.getLogger(__name__)

MAX_LAYERS = 12
"""Of so many layers above the bottom, one is made of all."""
MAX_FILES = 500
"""So many files above the bottom are many layers, whoever wrote them."""
MAX_SHARE_ABOVE = 0.25
"""Also if they hold more than this share of the bottom's rows."""
GRACE = timedelta(days=1)
"""More than clocks differ by: whatever is there now was written before now and this."""

FORGETTING = "airflow optimove ledger forget"


class StillPending(OptimoveProviderError):
    """Loads may have sent rows that the ledger does not have yet."""


def maintain(ledger: Ledger, lease: Lease) -> None:
    """Vacuum and compact. Where that fails the log says so, and the next load tries again: this one is committed."""
    try:
        vacuum(ledger, lease, ledger.staging.surroundings.now() - ledger.staging.retention.replaced)
        compact(ledger, lease)
    except Exception:  # a full disk, a storage that does not answer, a lease that was lost
        log.warning("the ledger %s was not tidied; it is right nevertheless", ledger.layers.folder, exc_info=True)


def vacuum(ledger: Ledger, lease: Lease, before: datetime) -> list[str]:
    """Remove files that the manifest let go before an instant, or never named, if they are older; returns their names.

    Nobody else commits meanwhile: a layer just linked is as old as the rows it has. Raises LeaseLost.
    """
    manifest = lease.owned(ledger.read())
    recent = {path: at for path, at in manifest.let_go.items() if at >= before}
    owed = [manifest.owed.path] if manifest.owed else []
    kept = {_name(path) for path in (*recent, *owed, *(layer.path for layer in manifest.layers))}
    kept |= {name + ENDING for name in kept}
    listed = {_name(manifest.suppressed.path)} if manifest.suppressed else set()
    gone = ledger.staging.sweep(ledger.layers.folder, before, kept.__contains__)
    gone += ledger.staging.sweep(ledger.owed_folder, before, kept.__contains__)
    gone += ledger.staging.sweep(ledger.suppressions, before, listed.__contains__)
    if len(recent) < len(manifest.let_go):
        lease.change(lambda found: replace(found, let_go=recent))
    return gone


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def compact(ledger: Ledger, lease: Lease, max_memory: str = MAX_MEMORY) -> bool:
    """Make one layer of all, if that is due; tells whether it did. Raises CommitConflict, LeaseLost."""
    seen = ledger.read()
    if not is_due(seen):
        return False
    whole = _merged(ledger, replace(seen, intents={}), max_memory)
    if seen.key_digest.seed:
        ledger.layers.keep_digests([whole], seen.key_digest.seed)

    def edit(manifest: Manifest) -> Manifest:
        if manifest.layers != seen.layers:
            raise CommitConflict.of(PlanRef(lease.load_id, seen.version), manifest.version)
        now = ledger.staging.surroundings.now()
        let_go = {**manifest.let_go, **{layer.path: now for layer in manifest.layers}}
        return replace(manifest, layers=(replace(whole, committed_at=now),), let_go=let_go)

    lease.change(edit)
    return True


def is_due(manifest: Manifest) -> bool:
    """Whether the layers above the bottom have grown large or many."""
    bottom, above = (sum(layer.rows for layer in some) for some in (manifest.bottom, manifest.above))
    return _count(manifest.above) >= MAX_LAYERS or above > MAX_SHARE_ABOVE * bottom


def _count(above: Sequence[Layer]) -> int:
    """How many layers there are: what one load has sent is one, in however many files, up to MAX_FILES."""
    if len(above) >= MAX_FILES:
        return len(above)
    own = sum(layer.origin is None for layer in above)
    return own + len({(layer.committed_at, layer.origin) for layer in above if layer.origin})


def _merged(ledger: Ledger, manifest: Manifest, max_memory: str) -> Layer:
    mask = current(ledger.staging, manifest, max_memory)
    found = layers.read(ledger.staging, layers.of_all(ledger.staging, manifest), LEDGER.names, mask)
    return ledger.layers.write((batch.select(LEDGER.names) for batch in found), distinct=True)


def forget(ledger: Ledger, force: bool = False, *beside: str) -> None:
    """Drop all that a ledger says, under its lease, and remove its files, with those that lie `beside` its manifest.

    Raises as `check_forgettable`. The version goes on counting: a plan that was made before must not look as if it was
    made against the new ledger. The suppression list stays: nobody it keeps out may come back by this.
    """
    staging = ledger.staging
    if force:
        ledger.manifest_file.change(lambda manifest: replace(manifest, holder=None))
    lease = acquire(ledger.manifest_file, str(staging.surroundings.new_id()), 1, FORGETTING)
    if isinstance(lease, Held):
        raise TargetBusy(lease)

    with lease:
        empty(ledger, lease, force, *beside)


def empty(ledger: Ledger, lease: Lease, force: bool = False, *beside: str) -> None:
    """The same of a ledger whose lease one has. Raises StillPending, and LeaseLost."""
    staging = ledger.staging

    def emptied(manifest: Manifest) -> Manifest:
        _refuse_pending(manifest, force)
        return Manifest(version=manifest.version + 1, holder=manifest.holder, suppressed=manifest.suppressed)

    lease.change(emptied)
    for name in beside:
        staging.remove_folder(f"{ledger.manifest_file.folder}/{name}")
    vacuum(ledger, lease, staging.surroundings.now() + GRACE)


def check_forgettable(ledger: Ledger, force: bool) -> None:
    """Unless forced, raise TargetBusy while a load works on the target, and StillPending where one may have sent rows
    that are not entered."""
    manifest = ledger.read()
    holder = manifest.holder
    if holder and holder.until > ledger.staging.surroundings.now() and not force:
        raise TargetBusy(Held(holder.load_id, holder.try_number, holder.until, holder.task))
    _refuse_pending(manifest, force)


def _refuse_pending(manifest: Manifest, force: bool) -> None:
    if manifest.intents and not force:
        raise StillPending(
            f"loads may have sent rows that are not entered yet: {', '.join(sorted(manifest.intents))}. Let their "
            "retries, or the next load, end first; with --force the ledger forgets that these rows may be there, so "
            "that the next load must have every key"
        )
