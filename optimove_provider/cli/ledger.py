"""The commands about ledgers: which there are, what one holds of a key, and how one is begun anew."""

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from optimove_provider.cli.command import FINDINGS, OK, Command, option
from optimove_provider.cli.person import confirmed
from optimove_provider.cli.tables import JSON, OUTPUT, write_facts, write_json, write_table

if TYPE_CHECKING:
    from optimove_provider.loads.history.loads import Load
    from optimove_provider.loads.history.record import Sighting
    from optimove_provider.tasks.ledgers.found import Found

_HOST = option("--host", metavar="URL", default="", help="the host that the ledger is of, where there are several")
_COLUMNS = ("target", "host", "rows", "keys", "suppressed", "version", "newest snapshot", "being written by")


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
    }


def forget(wanted: argparse.Namespace, out: TextIO) -> int:
    """Begin the ledgers of targets anew, if a person says yes."""
    from optimove_provider.tasks.ledgers.forget import forget as begin_anew

    asks = confirmed("Forget it?", wanted.yes)
    for line in begin_anew(wanted.targets, wanted.host, wanted.force, wanted.dry_run, asks):
        out.write(f"{line}\n")
    return OK


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
