"""The commands about one person: keys that no load brings back, and a key that staging forgets."""

import argparse
from typing import TextIO

from optimove_provider.cli.command import FINDINGS, OK, Command, confirmed, option
from optimove_provider.cli.tables import JSON, OUTPUT, write_json, write_table
from optimove_provider.contract.how_many import how_many

_TARGET = option("target", metavar="TARGET", help="a data connection's uuid, or the number of a DCP table")
_KEYS = option("keys", metavar="KEY", nargs="+", help="a key, as it is in the records")
_HOST = option("--host", metavar="URL", default="", help="the host of the target, where there are several")
_COLUMNS = ("digest", "since", "by")


def list_suppressed(wanted: argparse.Namespace, out: TextIO) -> int:
    """List what is suppressed, or tell of one key."""
    from optimove_provider.tasks.ledgers.suppressions import listed

    found = listed(wanted.target, wanted.host, wanted.key)
    if wanted.output == JSON:
        write_json(found, out)
    else:
        write_table(_COLUMNS, ([*one.values()] for one in found), out, "" if found else "No such key is suppressed")
    return OK if found or wanted.key is None else FINDINGS


def add(wanted: argparse.Namespace, out: TextIO) -> int:
    """Suppress keys."""
    from optimove_provider.tasks.ledgers.suppressions import add as put_on

    added = put_on(wanted.target, wanted.keys, wanted.host)
    again = len(set(wanted.keys)) - added
    out.write(
        f"{how_many(added, 'key is', 'keys are')} suppressed from now on, {again} were before. Records that are at the "
        "target stay there: OptixExpireOperator makes them expire\n"
    )
    return OK


def remove(wanted: argparse.Namespace, out: TextIO) -> int:
    """Take keys off the list."""
    from optimove_provider.tasks.ledgers.suppressions import remove as take_off

    removed = take_off(wanted.target, wanted.keys, wanted.host)
    out.write(f"{how_many(removed, 'key is', 'keys are')} suppressed no more: the next load that has one sends it\n")
    return OK if removed else FINDINGS


def forget(wanted: argparse.Namespace, out: TextIO) -> int:
    """Take one key out of staging, if a person says yes."""
    from optimove_provider.tasks.ledgers.person import forget_key

    asks = confirmed("Forget it?", "that is to be forgotten", wanted.yes)
    for line in forget_key(wanted.key, wanted.targets, wanted.host, wanted.dry_run, asks):
        out.write(f"{line}\n")
    return OK


LIST = Command(
    "suppressions list",
    "List the keys that no load brings to a target, as digests, since when and by what",
    list_suppressed,
    (_TARGET, option("--key", metavar="KEY", help="tell whether this key is on the list"), _HOST, OUTPUT),
    examples=("suppressions list 34f8cfca-85fa-444f-97b2-a5b8cbff6907 --key C-10442",),
)
ADD = Command(
    "suppressions add",
    "Leave keys out of all later loads into a target",
    add,
    (_TARGET, _KEYS, _HOST),
    examples=("suppressions add 34f8cfca-85fa-444f-97b2-a5b8cbff6907 C-10442",),
)
REMOVE = Command(
    "suppressions remove",
    "Let later loads bring keys to a target again",
    remove,
    (_TARGET, _KEYS, _HOST),
    examples=("suppressions remove 34f8cfca-85fa-444f-97b2-a5b8cbff6907 C-10442",),
)
FORGET = Command(
    "forget",
    "Take one key out of staging, and let no load bring it back (`ledger forget` begins a whole ledger anew)",
    forget,
    (
        option("key", metavar="KEY", help="the key, as it is in the records"),
        option(
            "targets",
            metavar="TARGET",
            nargs="*",
            help="a data connection's uuid, or the number of a DCP table; all targets if none is named",
        ),
        _HOST,
        option("--dry-run", action="store_true", help="tell what would be forgotten, and change nothing"),
        option("--yes", action="store_true", help="do not ask"),
    ),
    examples=("forget C-10442 --dry-run", "forget C-10442 34f8cfca-85fa-444f-97b2-a5b8cbff6907"),
)
SUPPRESSIONS = (LIST, ADD, REMOVE)
