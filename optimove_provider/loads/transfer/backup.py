"""Backups of ledgers, and ledgers made again after a loss: of a backup, or of what a target is known to have.

Since nobody knows what was written after a backup, or whether a list of records is right, all of that is entered as
unknown: the next load sends every row. What is won is the fence, which keeps older loads out, and the keys, so that
what a source lacks is found.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.ledger import layers, query
from optimove_provider.loads.ledger.lease import acquired_for
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Manifest, SourceSnapshot, SuppressionList
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import LEDGER, Batches
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.transfer.move import check_unused, copy_beside, copy_list

log = logging.getLogger(__name__)

REBUILDING = "airflow optimove ledger rebuild"
_LOOKS = 5
"""How often a backup is begun again because a load ends meanwhile, and takes files along; and then once more."""


def backup(ledger: Ledger, to: Ledger, *beside: str) -> Manifest:
    """Write one consistent version of a ledger elsewhere, in the place of an older backup; loads go on meanwhile.

    What loads may have sent is in it as unknown, since the rows that they froze are not. What is owed is not in it:
    after a loss nobody knows what newer words on those keys came since. Raises SwapContention.
    """
    for look in range(_LOOKS + 1):
        seen = ledger.read()
        try:
            return _backed_up(ledger, seen, to, beside)
        except Exception:  # who reads files says in its own way that one is not there
            now = ledger.read()
            if look == _LOOKS or (now.version, now.layers) == (seen.version, seen.layers):
                raise
            log.info("the ledger has changed while it was read; beginning again")
    raise AssertionError("the last look returns or raises")


def _backed_up(ledger: Ledger, seen: Manifest, to: Ledger, beside: tuple[str, ...]) -> Manifest:
    mask = query.current(ledger.staging, seen, query.MAX_MEMORY)
    found = layers.read(ledger.staging, layers.of_all(ledger.staging, seen), LEDGER.names, mask)
    whole = to.layers.write((batch.select(LEDGER.names) for batch in found), distinct=True)
    suppressed = copy_list(ledger, seen, to, replace(to.read(), suppressed=None))
    copy_beside(ledger, to, beside)
    let_go, now = list[str](), to.staging.surroundings.now()

    def put(before: Manifest) -> Manifest:
        let_go[:] = [layer.path for layer in before.layers]
        let_go.extend([before.suppressed.path] if before.suppressed and before.suppressed.path else [])
        return Manifest(
            version=max(seen.version, before.version + 1),
            layers=(replace(whole, committed_at=now),) if whole.rows else (),
            newest_snapshot=seen.newest_snapshot,
            committed_at=seen.committed_at,
            key_type=seen.key_type,
            suppressed=suppressed,
        )

    made = to.manifest_file.change(put)
    for path in set(let_go) - {suppressed.path if suppressed else ""}:
        to.staging.remove_folder(path)
    return made


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a target: rows of a ledger, no key twice, and the newest snapshot that may be in it. `kept` is
    the backup, whose suppression list counts where there is no other."""

    rows: Batches
    newest_snapshot: SourceSnapshot | None
    committed_at: datetime | None
    key_type: str
    kept: Ledger | None = None


def of_backup(kept: Ledger) -> Known:
    """What a backup says."""
    seen = kept.read()
    found = layers.read(kept.staging, layers.of_all(kept.staging, seen), LEDGER.names)
    rows = (batch.select(LEDGER.names) for batch in found)
    return Known(rows, seen.newest_snapshot, seen.committed_at, seen.key_type, kept)


def of_records(staging: Staging, folder: str, age: Age, rows: int, key_type: str) -> Known:
    """What frozen records say, as of an age; whatever stands for an earlier instant is kept out from then on."""
    found = row_files.read_rows(staging, folder, ["_key", "_record"])
    return Known(_of_records(found, age), SourceSnapshot(age, rows, {}), None, key_type)


def _of_records(found: Batches, age: Age) -> Iterator[pa.RecordBatch]:
    for batch in found:
        made = row_files.fingerprints(batch["_record"])
        yield layers.rows_of(batch["_key"], batch["_record"], made, age)


def rebuild(ledger: Ledger, known: Known) -> Manifest:
    """Enter what is known into an empty ledger, as unknown, and so that nothing older than its snapshot is sent.

    Raises DataError where the ledger says anything, and TargetBusy while a load works on the target.
    """
    now = ledger.staging.surroundings.now()
    check_unused(ledger, ledger.read())
    with acquired_for(ledger.manifest_file, REBUILDING) as lease:
        layer = ledger.layers.write((_unknown(batch, now) for batch in known.rows), distinct=True)
        suppressed = _list_of(ledger, known)

        def put(manifest: Manifest) -> Manifest:
            check_unused(ledger, manifest)
            return manifest.changed(
                layers=(replace(layer, committed_at=now),) if layer.rows else (),
                newest_snapshot=known.newest_snapshot,
                committed_at=known.committed_at,
                key_type=known.key_type,
                suppressed=suppressed,
            )

        return lease.change(put)


def _list_of(ledger: Ledger, known: Known) -> SuppressionList | None:
    """The suppression list that counts: that of a ledger which was begun anew is still there, and newer. Raises
    DataError where that is another one than the backup's."""
    now = ledger.read()
    kept = known.kept.read().suppressed if known.kept else None
    is_newer = now.suppressed and now.suppressed.path and kept and kept.salt == now.suppressed.salt
    if known.kept is None or is_newer:
        return now.suppressed
    return copy_list(known.kept, known.kept.read(), ledger, now)


def _unknown(batch: pa.RecordBatch, now: datetime) -> pa.RecordBatch:
    """Rows of a ledger of which nobody knows whether they still hold; that a key was not there stays its age's word."""
    judged_by = pc.coalesce(batch["fingerprint"], batch["judged_by"])
    found = layers.with_values(batch, fingerprint=None, expires=None, evidence=None, unproven_since=now)
    return found.set_column(LEDGER.get_field_index("judged_by"), LEDGER.field("judged_by"), judged_by)
