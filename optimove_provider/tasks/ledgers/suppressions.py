"""The suppression lists of targets, for the commands that a person gives."""

from collections.abc import Sequence
from typing import Any

from optimove_provider.loads.ledger.lease import acquired_for
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.suppression import suppression_list
from optimove_provider.loads.suppression.key_digests import ALGORITHM, KeyDigests
from optimove_provider.tasks.ledgers.found import find_ledger

COMMAND = "airflow optimove suppressions"


def listed(target: str, host: str = "", key: str | None = None) -> list[dict[str, Any]]:
    """What is on the list, of one key or of all: digest, since when, and by what. Raises as `find_ledger`."""
    found = find_ledger(target, host)
    manifest = found.manifest
    if manifest.suppressed is None:
        return []
    wanted = None if key is None else KeyDigests(manifest.suppressed.salt).of(key)
    rows = suppression_list.listed(found.place, manifest).to_pylist()
    return [
        {"digest": f"{ALGORITHM}:{row['digest'].hex()}", "since": row["since"].isoformat(), "by": row["by"]}
        for row in rows
        if wanted in (None, row["digest"])
    ]


def add(target: str, keys: Sequence[str], host: str = "") -> int:
    """Put keys on the list; returns how many were not on it. Raises as `find_ledger`, and TargetBusy."""
    ledger = _ledger(target, host)
    with acquired_for(ledger.manifest_file, f"{COMMAND} add") as lease:
        return suppression_list.add(ledger, lease, keys, "a person, by command")


def remove(target: str, keys: Sequence[str], host: str = "") -> int:
    """Take keys off the list; returns how many were on it. Raises as `find_ledger`, and TargetBusy."""
    ledger = _ledger(target, host)
    with acquired_for(ledger.manifest_file, f"{COMMAND} remove") as lease:
        return suppression_list.remove(ledger, lease, keys)


def _ledger(target: str, host: str) -> Ledger:
    found = find_ledger(target, host)
    return Ledger(found.place, found.folder)
