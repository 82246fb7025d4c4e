"""Stop a load whose rows look like an accident, with the numbers, before anything is sent."""

from collections.abc import Iterator

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger.manifest import Manifest, SourceSnapshot
from optimove_provider.loads.plan.plan import Plan
from optimove_provider.options import Guards

FEW = 20
"""Of fewer keys, what share of them changes says nothing."""


class GuardStopped(OptimoveProviderError):
    """The rows look like an accident in the source. Nothing was sent."""

    then = NextStep.CHANGE_GUARD


def check(plan: Plan, manifest: Manifest, guards: Guards) -> None:
    """Raise GuardStopped, which names everything that is wrong at once."""
    found = [*_snapshot(plan, manifest.newest_snapshot, guards), *_changes(plan, guards)]
    if plan.load.expires:
        found += removed(plan, guards)
    if found and not plan.below_watermark:
        raise GuardStopped(
            f"{'; '.join(found)}. Nothing was sent, and a retry would not help. If the source is wrong, mend it and "
            "clear the task; if this is meant, change the guard that is named"
        )


def _snapshot(plan: Plan, before: SourceSnapshot | None, guards: Guards) -> Iterator[str]:
    if plan.load.source_is != "snapshot":
        return
    if not plan.rows:
        if not guards.allow_empty:
            yield "the source is empty (allow_empty)"
        return
    if before is None:
        return
    if guards.min_rows_share is not None and plan.rows < guards.min_rows_share * before.rows:
        yield (
            f"{plan.rows:,} rows are {plan.rows / before.rows:.1%} of the {before.rows:,} of the newest snapshot, of "
            f"{before.age.generation:%Y-%m-%d %H:%M} UTC (min_rows_share={guards.min_rows_share})"
        )
    if guards.min_filled_share is not None:
        yield from _columns(plan, before, guards.min_filled_share)


def _columns(plan: Plan, before: SourceSnapshot, least: float) -> Iterator[str]:
    for name, was in before.filled.items():
        share = plan.load.filled.get(name)
        if share is None:
            yield f"column {name!r} is gone; {was:.0%} of the newest snapshot's rows had it (min_filled_share={least})"
        elif share <= least < was:
            yield f"column {name!r} has a value in {share:.1%} of the rows, not in {was:.0%} (min_filled_share={least})"


def _changes(plan: Plan, guards: Guards) -> Iterator[str]:
    most, changed = guards.max_changed_share, plan.counts["changed"] + plan.may_change
    if most is not None and plan.known >= FEW and changed > most * plan.known:
        unknown = f", {plan.may_change:,} of which are judged by what was last known of them" if plan.may_change else ""
        yield (
            f"{changed:,} records change of about {plan.known:,} that the target has, {changed / plan.known:.1%} of "
            f"them{unknown} (max_changed_share={most})"
        )


def removed(plan: Plan, guards: Guards) -> Iterator[str]:
    """What is wrong with how many keys a snapshot lacks, or a delta deletes: a reason to stop if they are to expire,
    else one to look."""
    most, gone = guards.max_removed_share, plan.gone
    if most is None or gone is None or gone.live < FEW:
        return
    total = gone.newly + gone.before
    verb = "deletes" if plan.load.deletes_by else "lacks"
    if total > most * gone.live:
        yield (
            f"the source {verb} {total:,} of {gone.live:,} records that the target has, {total / gone.live:.1%} of "
            f"them: {gone.newly:,} newly, {gone.before:,} were reported before, such as {', '.join(gone.examples)} "
            f"(max_removed_share={most})"
        )
