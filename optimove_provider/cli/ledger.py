"""The commands about ledgers: which there are, what one has of a key, which rows are owed; and how one begins anew, is
moved, backed up or made again."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from optimove_provider.cli.command import FINDINGS, OK, Command, confirmed, option
from optimove_provider.cli.tables import JSON, OUTPUT, write_facts, write_json, write_table
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import SettingsError

if TYPE_CHECKING:
    from optimove_provider.loads.history.loads import Load
    from optimove_provider.loads.history.record import Sighting
    from optimove_provider.loads.owed.by_hand import Wanted
    from optimove_provider.tasks.ledgers.found import Found

_HOST = option("--host", metavar="URL", default="", help="the host that the ledger is of, where there are several")
_COLUMNS = ("target", "host", "rows", "keys", "suppressed", "owed", "version", "newest snapshot", "being written by")


def list_ledgers(wanted: argparse.Namespace, out: TextIO) -> int:
    """List the ledgers of all targets."""
    from optimove_provider.tasks.ledgers.found import all_ledgers

    found = [_facts(one) for one in all_ledgers()]
    if wanted.output == JSON:
        write_json(found, out)
    else:
        write_table(_COLUMNS, ([*one.values()] for one in found), out, "" if found else "No target has a ledger yet")
    return OK


def show(wanted: argparse.Namespace, out: TextIO) -> int:
    """Tell of one ledger, or of one key in it."""
    from optimove_provider.tasks.ledgers.found import find_ledger, look_up

    ledger = find_ledger(wanted.target, wanted.host)
    if wanted.key is None:
        facts = _facts(ledger)
        (write_json if wanted.output == JSON else write_facts)(facts, out)
        return OK
    found = look_up(ledger, wanted.key)
    if wanted.output == JSON:
        write_json([{**asdict(one), "meaning": one.meaning, "load_id": _id(one, load)} for one, load in found], out)
    else:
        for number, (one, load) in enumerate(found):
            print("What counts:" if number == 0 else "\nBefore that:", file=out)
            write_facts(_sighting(one, load), out)
    if not found:
        print(f"{ledger.named} knows no key {wanted.key!r}: no load brought it", file=sys.stderr)
    return OK if found else FINDINGS


def _facts(ledger: "Found") -> dict[str, Any]:
    from optimove_provider.tasks.ledgers.found import facts_of

    return dict(zip(_COLUMNS, facts_of(ledger), strict=True))


def _id(one: "Sighting", load: "Load | None") -> str:
    return load.load_id if load else one.load_id


def _sighting(one: "Sighting", load: "Load | None") -> dict[str, Any]:
    from optimove_provider.loads.history.words import instant

    lasts = instant(one.expires) or "it does not expire"
    return {
        "key": one.key,
        "state": one.meaning,
        "load": _id(one, load) or "not known any more: its layer was compacted",
        "stands for": instant(one.generation),
        "read at": instant(one.opened),
        "entered": instant(one.committed_at),
        "lasts until": "" if one.state == "tombstone" else lasts,
        "values": one.record or "not kept",
        **({"stamp": one.stamp} if one.stamp else {}),
    }


def forget(wanted: argparse.Namespace, out: TextIO) -> int:
    """Begin the ledgers of targets anew, if a person says yes."""
    from optimove_provider.tasks.ledgers.forget import forget as begin_anew

    asks = confirmed("Forget it?", "that is to be forgotten", wanted.yes)
    return _written(begin_anew(wanted.targets, wanted.host, wanted.force, wanted.dry_run, asks), out)


def _written(lines: Iterable[str], out: TextIO) -> int:
    for line in lines:
        out.write(f"{line}\n")
    return OK


def owed(wanted: argparse.Namespace, out: TextIO) -> int:
    """List the rows that are owed to a target, drop some, let them go again, or save them to be mended."""
    from optimove_provider.loads.owed.by_hand import by_hand, drop_owed, let_go_again, owed_rows
    from optimove_provider.tasks.ledgers.found import find_ledger, owed_of

    found = find_ledger(wanted.target, wanted.host)
    some = owed_of(wanted.keys, wanted.load_id)
    listed = list(owed_rows(found.place, found.manifest, some))
    if not listed:
        if wanted.output == JSON:
            write_json(listed, out)
        print(f"no such row is owed to {found.named}", file=sys.stderr)
        return FINDINGS if wanted.keys or wanted.load_id else OK
    if wanted.save:
        return _save_owed(found, some, wanted.save, len(listed), out)
    if wanted.again:
        with by_hand(found.ledger) as lease:
            again = let_go_again(found.ledger, lease, some)
        out.write(f"{how_many(again, 'row goes', 'rows go')} again with the next load that has resend_rejected=True\n")
    elif wanted.drop:
        told = f"{how_many(len(listed), 'row')} owed to {found.named} would not be sent any more"
        dropped = 0
        if confirmed("Drop them?", "that is to be dropped", wanted.yes)(told):
            with by_hand(found.ledger) as lease:
                dropped = drop_owed(found.ledger, lease, some)
        out.write(f"{dropped} dropped\n")
    elif wanted.output == JSON:
        write_json(listed, out)
    else:
        write_table(_OWED, ([*_owed_facts(row).values()] for row in listed), out)
    return OK


_OWED = ("key", "tries", "status", "reason", "refused first", "stands for", "load")


def _owed_facts(row: dict[str, Any]) -> dict[str, Any]:
    from optimove_provider.loads.history.words import instant

    times = (instant(row["since"]), instant(row["generation"]))
    facts = (str(row["key"]), row["tries"], row["status"], row["reason"], *times, row["load_id"])
    return dict(zip(_OWED, facts, strict=True))


def _save_owed(found: "Found", some: "Wanted", path: str, rows: int, out: TextIO) -> int:
    from optimove_provider.disk.modes import PRIVATE, open_private
    from optimove_provider.loads.owed.by_hand import as_rejected_lines

    lines = as_rejected_lines(found.place, found.manifest, some)
    with open_private(path, PRIVATE, "x") as file:
        file.writelines(lines)
    out.write(f"{how_many(rows, 'row')} in {path}: mend what is wrong, then airflow optimove replay {path}\n")
    return OK


def move(wanted: argparse.Namespace, out: TextIO) -> int:
    """Move the ledger of a target under another host, or to another staging."""
    from optimove_provider.tasks.ledgers.carry import move as carry

    asks = confirmed("Move it?", "the ledger is to be moved", wanted.yes)
    return _written(carry(wanted.target, wanted.host, wanted.to_host, wanted.to_staging, asks), out)


def backup(wanted: argparse.Namespace, out: TextIO) -> int:
    """Back up ledgers."""
    from optimove_provider.tasks.ledgers.carry import backup as back_up

    return _written(back_up(wanted.targets, wanted.host, wanted.to), out)


def rebuild(wanted: argparse.Namespace, out: TextIO) -> int:
    """Make a lost ledger again, of a backup or of a file."""
    from optimove_provider.tasks.ledgers.carry import Records, rebuild_from_backup, rebuild_from_records

    asks = confirmed("Make it?", "the ledger is to be made again", wanted.yes)
    if bool(wanted.from_backup) == bool(wanted.from_file):
        raise SettingsError("say what the ledger is made of: either --from-backup URL or --from FILE")
    if wanted.from_backup:
        return _written(rebuild_from_backup(wanted.target, wanted.host, wanted.from_backup, asks), out)
    if not (wanted.primary_key and wanted.as_of):
        raise SettingsError(
            "--from needs --primary-key COLUMN, and --as-of INSTANT: which instant the records stand for"
        )
    as_of = instant_of("--as-of", wanted.as_of)
    records = Records(wanted.from_file, wanted.primary_key, as_of, wanted.key_type, wanted.conn_id)
    return _written(rebuild_from_records(wanted.target, records, asks), out)


def instant_of(name: str, text: str) -> datetime:
    """An instant with its offset. Raises SettingsError for another text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise SettingsError(f"{name} {text!r}: expected an instant with its offset, such as 2026-01-31T04:00:00+00:00")
    return found


LIST = Command("ledger list", "List the ledgers of all targets", list_ledgers, (OUTPUT,), examples=("ledger list",))
SHOW = Command(
    "ledger show",
    "Tell of a target's ledger, or what it has of a key",
    show,
    (
        option("target", metavar="TARGET", help="a data connection's uuid, or the number of a DCP table"),
        option("key", metavar="KEY", nargs="?", help="when it was last sent, in which load, and with which values"),
        _HOST,
        OUTPUT,
    ),
    examples=("ledger show 4161712130", "ledger show 34f8cfca-85fa-444f-97b2-a5b8cbff6907 C-10442"),
)
OWED = Command(
    "ledger owed",
    "List the rows that are owed to a target; drop them, let them go again, or save them",
    owed,
    (
        option("target", metavar="TARGET", help="a data connection's uuid"),
        option("keys", metavar="KEY", nargs="*", help="only the rows of these keys"),
        option("--load-id", metavar="LOAD_ID", default="", help="only those that this load could not bring"),
        _HOST,
        option("--drop", action="store_true", help="they are not to be sent any more"),
        option("--again", action="store_true", help="they are to go with the next load, however often they were tried"),
        option("--save", metavar="FILE", help="write them to a new file, to be mended and replayed"),
        option("--yes", action="store_true", help="do not ask"),
        OUTPUT,
    ),
    examples=(
        "ledger owed 34f8cfca-85fa-444f-97b2-a5b8cbff6907",
        "ledger owed 34f8cfca-85fa-444f-97b2-a5b8cbff6907 C-10442 --drop",
    ),
)
FORGET = Command(
    "ledger forget",
    "Begin the ledger of a target anew: the next load sends everything (`forget` is about one key)",
    forget,
    (
        option("targets", metavar="TARGET", nargs="+", help="a data connection's uuid, or the number of a DCP table"),
        _HOST,
        option("--dry-run", action="store_true", help="tell what would be forgotten, and change nothing"),
        option("--yes", action="store_true", help="do not ask"),
        option(
            "--force",
            action="store_true",
            help="even while a load works on the target, or may have sent rows that are not entered",
        ),
    ),
    examples=("ledger forget 4161712130 --dry-run",),
)
_TARGET = option("target", metavar="TARGET", help="a data connection's uuid, or the number of a DCP table")
_YES = option("--yes", action="store_true", help="do not ask")
_UUID = "34f8cfca-85fa-444f-97b2-a5b8cbff6907"
MOVE = Command(
    "ledger move",
    "Move the ledger of a target: the target has another host now, or staging another place",
    move,
    (
        _TARGET,
        _HOST,
        option("--to-host", metavar="URL", default="", help="the host that the target has from now on"),
        option("--to-staging", metavar="URL", default="", help="what [optimove] staging is from now on"),
        _YES,
    ),
    examples=(f"ledger move {_UUID} --to-host https://api.example", f"ledger move {_UUID} --to-staging s3://c@b/sync"),
)
BACKUP = Command(
    "ledger backup",
    "Back up the ledgers of some targets, or of all",
    backup,
    (
        option("targets", metavar="TARGET", nargs="*", help="which ones; all where none is named"),
        _HOST,
        option("--to", metavar="URL", required=True, help="a folder on a local disk or on S3, which is made"),
    ),
    examples=("ledger backup --to s3://backups@bucket/optimove",),
)
REBUILD = Command(
    "ledger rebuild",
    "Make a lost ledger again, so that no older load overwrites newer data: the next load sends everything",
    rebuild,
    (
        _TARGET,
        _HOST,
        option("--from-backup", metavar="URL", default="", help="of a backup: what ledger backup was given"),
        option("--from", dest="from_file", metavar="FILE", default="", help="of a file of the records, or keys"),
        option("--primary-key", metavar="COLUMN", default="", help="of the file: the column with the key"),
        option("--as-of", metavar="INSTANT", default="", help="of the file: the instant that its records stand for"),
        option("--key-type", choices=("string", "integer"), default="string", help="of the file (default: string)"),
        option("--conn-id", metavar="CONN_ID", default="optix_default", help="of the file: the Airflow connection"),
        _YES,
    ),
    examples=(
        f"ledger rebuild {_UUID} --from-backup s3://backups@bucket/optimove",
        f"ledger rebuild {_UUID} --from sent.csv --primary-key customer_id --as-of 2026-01-31T04:00:00+00:00",
    ),
)
