"""Forgetting one key in all of staging, for the command that a person gives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.erasure.forgotten_key import ForgottenKey
from optimove_provider.loads.erasure.frozen_rows import forget_in_loads
from optimove_provider.loads.erasure.kept_files import RejectedRows, forget_in_files, forget_in_samples
from optimove_provider.loads.erasure.ledger_rows import (
    forget_owed,
    forget_rows,
    layers_with,
    owed_with,
    pending_with,
    tidy,
)
from optimove_provider.loads.ledger.lease import Lease, acquired_for
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression import suppression_list
from optimove_provider.tasks.ledgers.found import Found, all_ledgers, find_ledger
from optimove_provider.tasks.staging import staging

COMMAND = "airflow optimove forget"
COST = (
    "Its digest goes on the suppression list of each of these targets, so that no load brings it back. At the targets "
    "nothing changes: make its records expire first, with OptixExpireOperator, while its key is still known."
)


class KeyPending(OptimoveProviderError):
    """A load may have sent rows of the key, and may send them again."""


def forget_key(
    key: str, targets: Sequence[str], host: str, dry_run: bool, confirm: Callable[[str], bool]
) -> Iterator[str]:
    """Take a key out of what staging keeps of some targets, or of all; yields a line for all that is written again.

    `confirm` is told what would be done, and says whether to go on. Raises as `find_ledger`; TargetBusy while a load
    works on one of the targets; KeyPending where an intent has rows of the key.
    """
    found = [find_ledger(target, host) for target in dict.fromkeys(targets)] if targets else list(all_ledgers())
    named = ForgottenKey(key)
    told = f"{key!r} is taken out of what staging has of {_named(found)}, and of reports of their loads. {COST}"
    if not dry_run and not confirm(told):
        yield "nothing was forgotten"
        return
    with ExitStack() as stack:
        held = [
            (one, ledger, stack.enter_context(acquired_for(ledger.manifest_file, COMMAND)))
            for one in found
            for ledger in one.ledgers()
        ]
        for one, ledger, _ in held:
            _refuse_pending(one, ledger, named)
        if dry_run:
            yield "this would be written again without the key, or removed:"
        for one, ledger, lease in held:
            yield from _in_ledger(one, ledger, lease, named, dry_run)
        yield from _in_files(staging(), named, found, bool(targets), change=not dry_run)


def _named(found: Sequence[Found]) -> str:
    return ", ".join(f"{one.named} at {one.host}" for one in found) or "no target, as none has a ledger"


def _refuse_pending(found: Found, ledger: Ledger, key: ForgottenKey) -> None:
    if loads := pending_with(ledger, key):
        raise KeyPending(
            f"{found.named}: load {', '.join(loads)} may have sent rows of this key, and would send them again. "
            "Nothing was forgotten: let its retry, or the next load into the target, end first"
        )


def _in_ledger(found: Found, ledger: Ledger, lease: Lease, key: ForgottenKey, dry_run: bool) -> Iterator[str]:
    beside = "" if ledger.manifest_file.folder == found.folder_path else ", of profiles"
    if dry_run:
        having = how_many(len(layers_with(ledger, key)), "layer has", "layers have")
        yield f"ledger of {found.named}{beside}: {having} it{_owed(owed_with(ledger, key))}"
        return
    told = ""
    if not beside:  # the list is one for both
        added = suppression_list.add(ledger, lease, [key.text], COMMAND)
        told = "; its digest is on the suppression list now" if added else "; its digest was on the suppression list"
    owed = _owed(forget_owed(ledger, lease, key))
    layers = how_many(len(forget_rows(ledger, lease, key)), "layer was", "layers were")
    removed = how_many(len(tidy(ledger, lease)), "old file", "old files")
    yield f"ledger of {found.named}{beside}: {layers} written again without the key, {removed} removed{owed}{told}"


def _owed(rows: int) -> str:
    return f", {how_many(rows, 'owed row')} of it" if rows else ""


def _in_files(
    place: Staging, key: ForgottenKey, found: Sequence[Found], is_chosen: bool, change: bool
) -> Iterator[str]:
    known = _Loads(place, {one.target for one in found} if is_chosen else None)
    rejected: dict[str, RejectedRows] = {}
    for one in forget_in_files(place, key, known.is_wanted, known.primary_key, rejected, change):
        yield f"written again: {one}"
    yield from (f"removed: {one}" for one in forget_in_loads(place, key, known.is_wanted, rejected, change))
    if not is_chosen or any(one.target.strip().isdecimal() for one in found):
        yield from (f"removed: {one}" for one in forget_in_samples(place, key, change))


class _Loads:
    """Which loads went into some targets, None for all, and which field was their key."""

    def __init__(self, place: Staging, targets: set[str] | None) -> None:
        self._place, self._targets = place, targets
        self._known: dict[str, Mapping[str, Any]] = {}

    def is_wanted(self, load_id: str) -> bool:
        """Whether a load went there. One of which nobody knows where it went counts."""
        if self._targets is None:
            return True
        target = self._of(load_id).get("target") or {}
        named = {str(target[kind]) for kind in ("optix", "dcp") if kind in target}
        return not named or bool(named & self._targets)

    def primary_key(self, load_id: str) -> str:
        """The field that held the key; "" where nobody knows."""
        return str((self._of(load_id).get("replay") or {}).get("primary_key", ""))

    def _of(self, load_id: str) -> Mapping[str, Any]:
        if load_id not in self._known:
            told = self._place.read_whole(f"reports/{load_id}.json")
            self._known[load_id] = told or self._place.read_whole(f"begun/{load_id}.json") or {}
        return self._known[load_id]
