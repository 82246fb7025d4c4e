"""Finding the ledger of a target, and what it has of a key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.contract.wire.targets import host_url
from optimove_provider.loads.dcp.profile_marks import profiles_of
from optimove_provider.loads.history.loads import Load, LoadIndex
from optimove_provider.loads.history.record import Sighting, as_stored, sightings, with_loads
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.ledger.places import ledgers_of, targets_of
from optimove_provider.loads.owed.by_hand import Wanted
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging
from optimove_provider.tasks.staging import staging


@dataclass(frozen=True, slots=True)
class Found:
    """The ledger of one target: its folder in staging, and under which host it is."""

    place: Staging
    target: str
    named: str
    folder: str
    host: str

    def describe(self) -> str:
        """What is in it."""
        manifest = self.manifest
        keys = f", keys of type {manifest.key_type}" if manifest.key_type else ""
        newest = manifest.newest_snapshot
        snapshot = f", the newest snapshot of {newest.age.generation:%Y-%m-%d %H:%M:%S} UTC" if newest else ""
        rows, folder = how_many(manifest.rows, "row"), self.place.url(self.folder_path)
        owed = f", {how_many(manifest.owed.rows, 'row')} owed" if manifest.owed else ""
        return f"{self.named} at {self.host}: {rows}{keys}{snapshot}{owed}, in {folder}"

    @property
    def folder_path(self) -> str:
        """The folder, as a path in staging."""
        return f"ledgers/{self.folder}"

    @property
    def manifest(self) -> Manifest:
        """What is entered in it now."""
        return self.ledger.read()

    @property
    def ledger(self) -> Ledger:
        """The ledger itself."""
        return Ledger(self.place, self.folder)

    def ledgers(self) -> Iterator[Ledger]:
        """The ledger, and before it the one of profiles beside it, if there is one."""
        beside = profiles_of(self.folder)
        if "manifest.json" in self.place.names(f"ledgers/{beside}"):
            yield Ledger(self.place, beside)
        yield self.ledger


def find_ledger(target: str, host: str = "") -> Found:
    """The ledger that a target has, under that host if one is named.

    Raises SettingsError for what names no target, or a target that has ledgers under several hosts; DataError where
    there is none.
    """
    place = _place()
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
    return Found(place, target, named, folder, known)


def all_ledgers() -> Iterator[Found]:
    """The ledgers of all targets, each under its host."""
    place = _place()
    for target in targets_of(place):
        named, hosts = ledgers_of(place, target)
        yield from (Found(place, target, named, folder, host) for folder, host in sorted(hosts.items()))


def facts_of(ledger: Found) -> tuple[Any, ...]:
    """Target, host, rows, type of the keys, how many are suppressed, how many rows are owed, version, the newest
    snapshot's instant, and which
    load works on it now."""
    manifest, now = ledger.manifest, ledger.place.surroundings.now()
    newest, holder = manifest.newest_snapshot, manifest.holder
    snapshot = f"{newest.age.generation:%Y-%m-%d %H:%M:%S} UTC" if newest else ""
    suppressed = manifest.suppressed.keys if manifest.suppressed else 0
    writer = holder.load_id if holder and holder.until > now else ""
    owed = manifest.owed.rows if manifest.owed else 0
    counts = (manifest.rows, manifest.key_type, suppressed, owed, manifest.version)
    return ledger.target, ledger.host, *counts, snapshot, writer


def look_up(ledger: Found, key: str) -> list[tuple[Sighting, Load | None]]:
    """What the ledger has of a key, the newest first, which counts; each with the load that brought it."""
    found = sightings(ledger.place, ledger.manifest, key, ledger.place.surroundings.now())
    loads = LoadIndex().loads(ledger.place) if found else []
    return with_loads(found, [load for load in loads if load.target.id == ledger.target])


def owed_of(keys: Sequence[str], load_id: str = "") -> Wanted:
    """The owed rows of keys as a person types them, and of one load; empty for all."""
    return Wanted(tuple(text for key in keys for text in as_stored(key)), load_id)


def _place() -> Staging:
    place = staging()
    if not compare_and_swap.supports_compare_and_swap(place.fs):
        raise DataError(f"{place.url('')} is on a storage that can hold no ledger: check [optimove] staging")
    return place
