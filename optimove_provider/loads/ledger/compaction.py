"""Housekeeping of a ledger after a commit: layers compacted into one, and files that no manifest names vacuumed."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.lease import Lease
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import CommitConflict, Layer, Manifest, PlanRef
from optimove_provider.loads.ledger.query import MAX_MEMORY, current
from optimove_provider.loads.spool.row_files import LEDGER

log = logging.getLogger(__name__)

MAX_LAYERS = 12
"""Of so many layers above the bottom, one is made of all."""
MAX_SHARE_ABOVE = 0.25
"""Also if they hold more than this share of the bottom's rows."""
GRACE = timedelta(days=1)
"""How old a file is before it goes: a plan that is made without the lease may still be reading it."""


def maintain(ledger: Ledger, lease: Lease) -> None:
    """Vacuum and compact. Where that fails the log says so, and the next load tries again: this one is committed."""
    try:
        vacuum(ledger, lease, ledger.staging.surroundings.now() - GRACE)
        compact(ledger, lease)
    except Exception:  # a full disk, a storage that does not answer, a lease that was lost
        log.warning("the ledger %s was not tidied; it is right nevertheless", ledger.layers.folder, exc_info=True)


def vacuum(ledger: Ledger, lease: Lease, before: datetime) -> list[str]:
    """Remove layers that the manifest does not name and that were written before an instant; returns their names.

    Nobody else commits meanwhile: a layer just linked is as old as the rows it has. Raises LeaseLost.
    """
    named = {layer.path.rpartition("/")[2] for layer in lease.owned(ledger.read()).layers}
    return ledger.staging.sweep(ledger.layers.folder, before, named.__contains__)


def compact(ledger: Ledger, lease: Lease, max_memory: str = MAX_MEMORY) -> bool:
    """Make one layer of all, if that is due; tells whether it did. Raises CommitConflict, LeaseLost."""
    seen = ledger.read()
    if not is_due(seen):
        return False
    whole = _merged(ledger, replace(seen, intents={}), max_memory)

    def edit(manifest: Manifest) -> Manifest:
        if manifest.layers != seen.layers:
            raise CommitConflict.of(PlanRef(lease.load_id, seen.version), manifest.version)
        return replace(manifest, layers=(replace(whole, committed_at=ledger.staging.surroundings.now()),))

    lease.change(edit)
    return True


def is_due(manifest: Manifest) -> bool:
    """Whether the layers above the bottom have grown large or many."""
    bottom, above = (sum(layer.rows for layer in some) for some in (manifest.bottom, manifest.above))
    return len(manifest.above) >= MAX_LAYERS or above > MAX_SHARE_ABOVE * bottom


def _merged(ledger: Ledger, manifest: Manifest, max_memory: str) -> Layer:
    mask = current(ledger.staging, manifest, max_memory)
    found = layers.read(ledger.staging, layers.of_all(ledger.staging, manifest), LEDGER.names, mask)
    return ledger.layers.write((batch.select(LEDGER.names) for batch in found), distinct=True)
