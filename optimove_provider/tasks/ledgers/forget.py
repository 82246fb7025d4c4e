"""Beginning the ledgers of targets anew, for the command that a person gives."""

from collections.abc import Callable, Iterator, Sequence

from optimove_provider.loads.dcp.columns import COLUMNS_FILE
from optimove_provider.loads.ledger.compaction import check_forgettable
from optimove_provider.loads.ledger.compaction import forget as drop
from optimove_provider.loads.ledger.places import unlist
from optimove_provider.loads.plan.columns import LOAD_COLUMNS_FILE
from optimove_provider.loads.suppression.suppressed_rows import has_suppressed
from optimove_provider.tasks.ledgers.found import find_ledger

COST = (
    "The next load sends every row, nothing expires of what its source lacks, and until a load is committed nothing "
    "keeps an older one from overwriting newer records: let the newest load run first. Suppression lists stay."
)
FORCED = (
    "--force: a load that works on the target now may go on sending for up to a minute, so stop its task first. What "
    "loads may have sent and not entered is forgotten as well: the next load must have every key."
)


def forget(
    targets: Sequence[str], host: str, force: bool, dry_run: bool, confirm: Callable[[str], bool]
) -> Iterator[str]:
    """Begin the ledgers of targets anew, of all or, where one may not be, of none; yields a line for each.

    `confirm` is told what would be lost, and says whether to go on. Raises SettingsError for what names no target, or a
    target that has ledgers under several hosts; DataError where there is none; TargetBusy and StillPending, not if
    forced.
    """
    found = [find_ledger(target, host) for target in dict.fromkeys(targets)]
    for one in found:
        for ledger in one.ledgers():
            check_forgettable(ledger, force)
    told = [one.describe() for one in found]
    if dry_run:
        yield from (f"would be forgotten: {line}" for line in told)
        return
    if not confirm("\n".join([*told, COST, *([FORCED] if force else [])])):
        yield "nothing was forgotten"
        return
    for one, line in zip(found, told, strict=True):
        for ledger in one.ledgers():
            drop(ledger, force, COLUMNS_FILE, LOAD_COLUMNS_FILE)
        if not has_suppressed(one.manifest):  # else its list has to be found
            unlist(one.place, one.target, one.folder)
        yield f"forgotten: {line}"
