"""Making a plan: the rows of a load against the ledger."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.ledger.query import MAX_MEMORY, live_keys
from optimove_provider.loads.owed.choice import Asking, OwedPlan, choose_owed
from optimove_provider.loads.plan.diff import CHANGE_KINDS, NEVER, DiffOptions, compare
from optimove_provider.loads.plan.plan import SENT_KINDS, Gone, Plan, PlanInput
from optimove_provider.loads.plan.writer import PlanWriter
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.suppression.suppressed_rows import has_suppressed

NO_LEDGER_YET = (
    "the target has no ledger in staging: it is new, or staging was lost or moved. Every row is sent, and until a load "
    "is committed nothing keeps an older one from overwriting newer records"
)


def is_below_watermark(manifest: Manifest, age: Age) -> bool:
    """Whether a load of either kind is older than the newest committed snapshot, so that nothing of it may be sent."""
    return manifest.newest_snapshot is not None and age < manifest.newest_snapshot.age


def make_plan(ledger: Ledger, load: PlanInput, folder: str, now: datetime, max_memory: str = MAX_MEMORY) -> Plan:
    """Compare a load with the ledger. What is found goes to `folder` in staging, which no other plan may use.

    Raises DataError where the ledger is of a newer format.
    """
    staging, manifest = ledger.staging, ledger.read()
    staging.remove_folder(folder)  # of a try that ended while it planned
    rows, last = row_files.size(staging, load.rows_folder)
    below_watermark = is_below_watermark(manifest, load.age)
    may_change, newly, before = 0, 0, 0
    written = PlanWriter(staging, manifest, load, folder, rows)
    if below_watermark or _nothing_to_compare(manifest, load):
        deletions = row_files.deletions(staging, load.rows_folder)
        told = {"stale": rows + deletions} if below_watermark else {"new": rows, "absent": deletions}
        counts, changes = {**dict.fromkeys(CHANGE_KINDS, 0), **told}, "0"
        written.sent = written.sent if below_watermark else load.rows_folder
    else:
        options = _diff_options(manifest, load, now)
        with compare(staging, manifest, load.rows_folder, last, options, max_memory) as found:
            counts, changes = _all_counts(found.counts(), load, rows), found.digest()
            may_change, (newly, before) = found.may_change(), found.gone()
            written.write(found, counts)
    gone, owed = None, None
    if not below_watermark:
        asking = Asking(load.rows_folder, load.age, load.source_is == "snapshot", load.owed)
        owed = choose_owed(staging, manifest, asking, folder, max_memory)
    if newly or before:
        gone = Gone(newly, before, live_keys(staging, manifest, now, max_memory), written.gone_examples)
    return Plan(
        load=load,
        planned_at=now,
        planned_against=manifest.version,
        known=manifest.rows,
        rows=rows,
        below_watermark=below_watermark,
        counts=counts,
        may_change=may_change,
        digest=_digest(ledger, manifest, load, counts, changes, owed),
        examples=written.examples,
        warnings=(*written.warnings, *_warnings(manifest, load, now, counts["reverified"])),
        sent=written.sent,
        kept=written.kept,
        removed=written.removed,
        gone=gone,
        owed=owed,
    )


def _nothing_to_compare(manifest: Manifest, load: PlanInput) -> bool:
    """Whether all rows are new, and nobody asks for a digest of them: then they need not be looked at."""
    return not (load.compared or manifest.layers or manifest.intents or has_suppressed(manifest))


def _diff_options(manifest: Manifest, load: PlanInput, now: datetime) -> DiffOptions:
    """A row is sent again if less than half of its TTL is left, or it might be gone when the load after next comes."""
    if load.ttl_seconds is None:
        before = datetime.max.replace(tzinfo=UTC)  # a row that goes some day is to stay now
    else:
        half = timedelta(seconds=load.ttl_seconds) / 2
        before = now + max(half, 2 * _since_last(manifest, now))
    return DiffOptions(
        load.source_is,
        load.age,
        before,
        now,
        asks_for_changes=load.compared or load.judged,
        trust_nothing=load.mode == "full",
        tells_gone=load.is_complete,
        expires_removed=load.on_removed == "expire",
        reverify_before=_reverify_before(load, now),
    )


def _reverify_before(load: PlanInput, now: datetime) -> datetime:
    if load.reverify_after is None or load.reverify_after >= (now - NEVER).total_seconds():
        return NEVER
    return now - timedelta(seconds=load.reverify_after)


def _since_last(manifest: Manifest, now: datetime) -> timedelta:
    return now - manifest.committed_at if manifest.committed_at else timedelta()


def _warnings(manifest: Manifest, load: PlanInput, now: datetime, reverified: int) -> Iterator[str]:
    if not (manifest.layers or manifest.committed_at):
        yield NO_LEDGER_YET
    if reverified:
        rows = how_many(reverified, "row that looks unchanged is", "rows that look unchanged are")
        yield (
            f"{rows} sent again: nobody counted them when they were accepted, more "
            f"than {timedelta(seconds=load.reverify_after or 0)} ago (reverify_after)"
        )
    twice = 2 * _since_last(manifest, now)
    if load.ttl_seconds is not None and timedelta(seconds=load.ttl_seconds) < twice:
        yield (
            f"ttl_seconds={load.ttl_seconds} is less than twice the time since the load before "
            f"({twice.total_seconds() / 2:.0f} s): records may be gone before they are sent again. Raise "
            "ttl_seconds, or load more often"
        )


def _all_counts(found: Mapping[str, int], load: PlanInput, rows: int) -> dict[str, int]:
    if load.source_is == "delta":
        return dict(found)
    others = sum(found[kind] for kind in (*SENT_KINDS, "stale", "suppressed"))
    return {**found, "unchanged": rows - others}


def _digest(
    ledger: Ledger,
    manifest: Manifest,
    load: PlanInput,
    counts: Mapping[str, int],
    changes: str,
    owed: OwedPlan | None,
) -> str:
    """Of all that decides what is sent, where to, and for how long; not of what is only sent in time not to expire."""
    covered = [
        ledger.manifest_file.folder,
        manifest.version,
        load.source_is,
        load.mode,
        load.on_removed,
        load.ttl_seconds,
        *(counts[kind] for kind in ("new", "changed", "unknown", "removed")),
        changes,
        *([owed.digest] if owed and owed.rows else []),
    ]
    return hashlib.sha256(json_body(covered)).hexdigest()[:16]
