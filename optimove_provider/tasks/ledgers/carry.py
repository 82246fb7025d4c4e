"""Ledgers moved, backed up, and made again, for the commands that a person gives."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.contract.wire.targets import host_url
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.loads.dcp.columns import COLUMNS_FILE
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.loads.ledger.places import enlist, folder_under, is_other, ledgers_of, unlist
from optimove_provider.loads.plan.columns import LOAD_COLUMNS_FILE
from optimove_provider.loads.spool.freeze import Spool, freeze
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.transfer.backup import Known, of_backup, of_records
from optimove_provider.loads.transfer.backup import backup as back_up
from optimove_provider.loads.transfer.backup import rebuild as enter
from optimove_provider.loads.transfer.move import Move, check_unused
from optimove_provider.loads.transfer.move import move as carry
from optimove_provider.records.rejected_lines import REJECTED_FILE
from optimove_provider.records.to_json.encode import Encoder
from optimove_provider.tasks.ledgers.found import Found, all_ledgers, find_ledger
from optimove_provider.tasks.sources import open_rows
from optimove_provider.tasks.staging import staging, staging_at

Confirm = Callable[[str], bool]
_BESIDE = (COLUMNS_FILE, LOAD_COLUMNS_FILE)
_MOVE = (
    "Nothing at the target changes. Loads go on with the ledger where it is moved to: let the connection, or "
    "[optimove] staging, say the same before the next one runs, or that will find none and send every row."
)
_REBUILD = (
    "The next load sends every row, since nobody knows what the target holds now; nothing that stands for an earlier "
    "instant is sent any more; and keys that the next snapshot lacks count as removed."
)


def move(target: str, host: str, to_host: str, to_staging: str, confirm: Confirm) -> Iterator[str]:
    """Move the ledger of a target under another host, or to another staging; yields a line.

    Raises SettingsError unless one of the two is said, DataError where there is none, or one there already; TargetBusy
    and StillPending.
    """
    if bool(to_host) == bool(to_staging):
        raise SettingsError("say where the ledger is to be moved to: either --to-host URL or --to-staging URL")
    found = find_ledger(target, host)
    place = _kept_at(to_staging) if to_staging else found.place
    new_host = host_url(to_host) if to_host else found.host
    folder = folder_under(target, to_host) if to_host else found.folder
    if (folder, place.url("")) == (found.folder, found.place.url("")):
        raise SettingsError(
            f"{found.named} has its ledger there already: leave this command out. It is {found.describe()}"
        )
    where = f"{new_host}, in {place.url(f'ledgers/{folder}')}"
    if not confirm(f"{found.describe()}\nis moved to {where}. {_MOVE}"):
        yield "nothing was moved"
        return
    told = found.describe()
    enlist(place, target, folder, new_host, is_other(found.place, target, found.folder))
    carry([Move(one, Ledger(place, _moved(one, found, folder)), _BESIDE) for one in found.ledgers()])
    unlist(found.place, target, found.folder)
    yield f"moved to {where}: {told}"


def _moved(ledger: Ledger, found: Found, folder: str) -> str:
    """The folder that a ledger of a target, or the one beside it, has there."""
    return folder + ledger.manifest_file.folder.removeprefix(found.folder_path)


def backup(targets: Sequence[str], host: str, to: str) -> Iterator[str]:
    """Back up the ledgers of some targets, or of all, at a URL; yields a line for each. Raises as `find_ledger`."""
    place = _kept_at(to)
    if place.url("") == staging().url(""):
        raise SettingsError(f"{to!r} is [optimove] staging itself: give another place for the backup")
    found = [find_ledger(target, host) for target in dict.fromkeys(targets)] if targets else list(all_ledgers())
    if not found:
        yield "no target has a ledger yet"
    for one in found:
        for ledger in one.ledgers():
            made = back_up(ledger, Ledger(place, _moved(ledger, one, one.folder)), *_BESIDE)
        enlist(place, one.target, one.folder, one.host, is_other(one.place, one.target, one.folder))
        rows = how_many(made.rows, "row")
        yield f"{one.named} at {one.host}: {rows}, in {place.url(one.folder_path)}"


@dataclass(frozen=True, slots=True)
class Records:
    """A file of what a data connection is known to have, and as of when; the connection of Airflow says at which
    host."""

    file: str
    primary_key: str
    as_of: datetime
    key_type: str
    conn_id: str


def rebuild_from_backup(target: str, host: str, url: str, confirm: Confirm) -> Iterator[str]:
    """Make the lost ledger of a target of its backup; yields a line.

    Raises DataError where the target has a ledger, or no backup; TargetBusy.
    """
    kept, place = _backup_of(target, host, url), _own_place()
    ledgers = [(one, Ledger(place, _moved(one, kept, kept.folder))) for one in kept.ledgers()]
    for _, ledger in ledgers:
        check_unused(ledger, ledger.read())
    if not confirm(f"The backup: {kept.describe()}\n{_REBUILD}"):
        yield "nothing was made"
        return
    enlist(place, target, kept.folder, kept.host, is_other(kept.place, target, kept.folder))
    for one, ledger in ledgers:
        for name in _BESIDE:
            if content := one.staging.read(f"{one.manifest_file.folder}/{name}"):
                place.write(f"{ledger.manifest_file.folder}/{name}", content)
        made = enter(ledger, of_backup(one))
    yield f"made again: {how_many(made.rows, 'row')}, all of them unknown, of {kept.describe()}"


def rebuild_from_records(target: str, records: Records, confirm: Confirm) -> Iterator[str]:
    """Make the lost ledger of a data connection of a file with the records, or the keys alone, that it is known to
    have; yields a line.

    Raises DataError where it has a ledger, or a row of the file cannot be entered; TargetBusy.
    """
    if target.strip().isdecimal():
        raise SettingsError(
            f"table {target}: only the ledger of a data connection is made of a file. Run one import of every row with "
            'mode="full" instead, or take a backup'
        )
    place = _own_place()
    now = place.surroundings.now()
    if records.as_of > now:
        raise SettingsError(
            f"--as-of {records.as_of.isoformat()} is still to come: give the instant as of which the file is"
        )
    with OptixHook(records.conn_id).get_conn() as client:
        settings = client.settings
    ledger = ledger_of(place, "optix", settings.host, target, settings.target_alias, records.key_type)
    if ledger is None:
        raise DataError(f"{place.url('')} is on a storage that can hold no ledger: check [optimove] staging")
    check_unused(ledger, ledger.read())
    folder = f"loads/{place.surroundings.new_id()}"
    try:
        spool = _frozen(place, folder, records)
        told = f"{how_many(spool.fit, 'record')} of {records.file}, as of {records.as_of.isoformat()}"
        if not confirm(f"{told}, become the ledger of data connection {target} at {settings.place}. {_REBUILD}"):
            yield "nothing was made"
            return
        enter(ledger, _known(place, spool, Age.of(now, records.as_of), records))
    finally:
        place.remove_folder(folder)
    yield f"made: {told}, all of them unknown, in {place.url(ledger.manifest_file.folder)}"


def _known(place: Staging, spool: Spool, age: Age, records: Records) -> Known:
    return of_records(place, spool.parts.folder, age, spool.fit, records.key_type)


def _frozen(place: Staging, folder: str, records: Records) -> Spool:
    """The records, each with its key, none twice. Raises DataError for a file in which one cannot be read."""
    opening, aside = partial(open_rows, records.file, None, None), f"{folder}/{REJECTED_FILE}"
    key, key_type = records.primary_key, records.key_type
    with opening() as rows:
        spool = freeze(rows, place, f"{folder}/spool", aside, lambda schema: Encoder(schema, key, key_type), key)
    if spool.rejected:
        with place.open(aside) as lines:
            first = next(iter(lines)).decode("utf-8", "replace").strip()
        raise DataError(
            f"{records.file}: {how_many(spool.rejected, 'row')} of {spool.rows} cannot be entered, the first one is "
            f"{first:.500}. Nothing was made: mend the file"
        )
    return spool


def _backup_of(target: str, host: str, url: str) -> Found:
    place = _kept_at(url)
    named, hosts = ledgers_of(place, target)
    wanted = {folder: known for folder, known in hosts.items() if not host or known == host_url(host)}
    if len(wanted) != 1:
        known = " and ".join(sorted(hosts.values())) or "no host"
        raise DataError(
            f"{named} has a backup in {place.url('ledgers')} of its ledger under {known}: give the URL that ledger "
            "backup was given, and with --host the one that is meant"
        )
    folder, known = next(iter(wanted.items()))
    return Found(place, target, named, folder, known)


def _kept_at(url: str) -> Staging:
    return _checked(staging_at(url))


def _own_place() -> Staging:
    return _checked(staging())


def _checked(place: Staging) -> Staging:
    if not compare_and_swap.supports_compare_and_swap(place.fs):
        raise SettingsError(f"{place.url('')} can hold no ledger: give a folder of a local disk, or one on S3")
    return place
