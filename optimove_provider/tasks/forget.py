"""Beginning the ledgers of targets anew, for the command that a person gives."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.contract.wire.targets import host_url
from optimove_provider.loads.dcp.columns import COLUMNS_FILE
from optimove_provider.loads.dcp.profile_marks import profiles_of
from optimove_provider.loads.ledger.compaction import check_forgettable
from optimove_provider.loads.ledger.compaction import forget as drop
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.places import ledgers_of, unlist
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging
from optimove_provider.tasks.staging import staging

COST = (
    "The next load sends every row, nothing expires of what its source lacks, and until a load is committed nothing "
    "keeps an older one from overwriting newer records: let the newest load run first."
)
FORCED = (
    "--force: a load that works on the target now may go on sending for up to a minute, so stop its task first. What "
    "loads may have sent and not entered is forgotten as well: the next load must have every key."
)


@dataclass(frozen=True, slots=True)
class Found:
    """The ledger of one target: its folder in staging, and under which host it is."""

    target: str
    named: str
    folder: str
    host: str

    def describe(self, place: Staging) -> str:
        """What is in it."""
        manifest = Ledger(place, self.folder).read()
        keys = f", keys of type {manifest.key_type}" if manifest.key_type else ""
        newest = manifest.newest_snapshot
        snapshot = f", the newest snapshot of {newest.age.generation:%Y-%m-%d %H:%M:%S} UTC" if newest else ""
        return (
            f"{self.named} at {self.host}: {how_many(manifest.rows, 'row')}{keys}{snapshot}, in "
            f"{place.url(self.folder_path)}"
        )

    @property
    def folder_path(self) -> str:
        """The folder, as a path in staging."""
        return f"ledgers/{self.folder}"

    def ledgers(self, place: Staging) -> Iterator[Ledger]:
        """The ledger, and before it the one of profiles beside it, if there is one."""
        beside = profiles_of(self.folder)
        if "manifest.json" in place.names(f"ledgers/{beside}"):
            yield Ledger(place, beside)
        yield Ledger(place, self.folder)


def forget(
    targets: Sequence[str], host: str, force: bool, dry_run: bool, confirm: Callable[[str], bool]
) -> Iterator[str]:
    """Begin the ledgers of targets anew, of all or, where one may not be, of none; yields a line for each.

    `confirm` is told what would be lost, and says whether to go on. Raises SettingsError for what names no target, or a
    target that has ledgers under several hosts; DataError where there is none; TargetBusy and StillPending, not if
    forced.
    """
    place = staging()
    if not compare_and_swap.supports_compare_and_swap(place.fs):
        raise DataError(f"{place.url('')} is on a storage that can hold no ledger: check [optimove] staging")
    found = [_only(place, target, host) for target in dict.fromkeys(targets)]
    for one in found:
        for ledger in one.ledgers(place):
            check_forgettable(ledger, force)
    told = [one.describe(place) for one in found]
    if dry_run:
        yield from (f"would be forgotten: {line}" for line in told)
        return
    if not confirm("\n".join([*told, COST, *([FORCED] if force else [])])):
        yield "nothing was forgotten"
        return
    for one, line in zip(found, told, strict=True):
        for ledger in one.ledgers(place):
            drop(ledger, force, COLUMNS_FILE)
        unlist(place, one.target, one.folder)
        yield f"forgotten: {line}"


def _only(place: Staging, target: str, host: str) -> Found:
    """The ledger that a target has, under that host if one is named."""
    named, hosts = ledgers_of(place, target)
    wanted = host_url(host) if host else ""
    found = {folder: known for folder, known in hosts.items() if wanted in ("", known)}
    if not found:
        where = f" under {wanted}" if wanted else ""
        others = f"; it has one under {' and '.join(sorted(hosts.values()))}" if hosts else ""
        raise DataError(
            f"{named} has no ledger{where} in {place.url('ledgers')}{others}. Give the uuid of a data connection or "
            "the number of a table, where [optimove] staging is what its tasks use"
        )
    if len(found) > 1:
        raise SettingsError(
            f"{named} has ledgers under {' and '.join(sorted(found.values()))}: say with --host which one is meant"
        )
    folder, known = next(iter(found.items()))
    return Found(target, named, folder, known)
