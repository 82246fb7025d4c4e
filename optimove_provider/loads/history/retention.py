"""What staging forgets of loads: what is too old, and of those that have ended all but the newest."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from optimove_provider.contract.next_steps import RETRIES
from optimove_provider.loads.dcp.in_doubt import FOLDER as IN_DOUBT
from optimove_provider.loads.evidence.upload_history import forget_samples
from optimove_provider.loads.ledger.manifest import intent_folders
from optimove_provider.loads.state.journal import has_ended
from optimove_provider.loads.state.load_id import rounds_of
from optimove_provider.loads.state.staging import Staging

_BY_AGE = ("begun", "reports", "tries", "loads", "samples")
_LOAD_ID = 36
"""So many characters of a name are its load's id."""
_LEFT = 0.9
"""Of as many loads as may stay, this share does once there are more: so not every load has to look."""


def sweep(staging: Staging) -> None:
    """Remove what `staging.retention` does not keep: reports, rejected rows, logs of loads that have ended, and loads
    that nobody took up again.

    What an intent of a ledger names stays, however old it is, and so does what is known of files that may be imported
    still; of other loads that may be taken up again, all that is not older than `Retention.days`.
    """
    needed = _needed(staging)
    before = staging.surroundings.now() - timedelta(days=staging.retention.days)
    for folder in _BY_AGE:
        staging.sweep(folder, before, keep=lambda name: name[:_LOAD_ID] in needed)
    if most := staging.retention.loads:
        _forget_oldest(staging, most, needed)


def _needed(staging: Staging) -> set[str]:
    """The loads that a ledger needs."""
    in_doubt = (f"ledgers/{target}/{IN_DOUBT}" for target in staging.names("ledgers"))
    files = {name.removesuffix(".json") for folder in in_doubt for name in staging.names(folder)}
    return files | {folder.split("/")[1] for folder in intent_folders(staging)}


def _forget_oldest(staging: Staging, most: int, needed: Collection[str]) -> None:
    """Remove the oldest of the loads that have ended, if there are more than so many."""
    names = _names_by_load(staging.newest("reports"))
    if len(names) <= most:
        return
    excess = list(names)[: len(names) - int(most * _LEFT)]
    ended = [load_id for load_id in excess if load_id not in needed and _is_over(staging, load_id)]
    _forget_tries(staging, ended)  # first: a try that knows a load without its log would open its batches again
    for load_id in ended:
        _forget(staging, load_id, names[load_id])


def _is_over(staging: Staging, load_id: str) -> bool:
    """Whether no try takes a load up again: it has ended, or it failed and its report tells of no retry."""
    report = staging.read_whole(f"reports/{load_id}.json") or {}
    step = report.get("next_step", "")
    return has_ended(staging, load_id) or (report.get("state") == "failed" and step != "" and step not in RETRIES)


def _names_by_load(written: Mapping[str, datetime]) -> dict[str, list[str]]:
    """Load id -> the names of its reports, the load that was reported least recently first."""
    names: dict[str, list[str]] = {}
    for name in sorted(written, key=written.__getitem__, reverse=True):
        names.setdefault(name[:_LOAD_ID], []).append(name)
    return dict(reversed(names.items()))


def _forget_tries(staging: Staging, load_ids: Collection[str]) -> None:
    for path in rounds_of(staging, load_ids):
        staging.remove_folder(path)


def _forget(staging: Staging, load_id: str, reports: Iterable[str]) -> None:
    report = staging.read_whole(f"reports/{load_id}.json") or {}
    forget_samples(staging, report.get("s3_keys", ()))
    staging.remove_folder(f"loads/{load_id}")
    for name in reports:
        staging.remove_folder(f"reports/{name}")
