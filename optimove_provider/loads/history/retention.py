"""What staging forgets of loads: what is too old, and of those that have ended all but the newest."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from math import ceil

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
_FROZEN = ("spool-", "plan-")
_LEFT = 0.9
"""Of as many loads as may stay, this share does once there are more: so not every load has to look."""


def sweep(staging: Staging) -> None:
    """Remove what `staging.retention` does not keep: reports, rejected rows, logs of loads that have ended, and loads
    that nobody took up again; and the frozen rows of loads that failed for good.

    What an intent of a ledger names stays, however old it is, and so does what is known of files that may be imported
    still; of other loads that may be taken up again, all that is not older than `Retention.days`.
    """
    needed = _needed(staging)
    before = staging.surroundings.now() - timedelta(days=staging.retention.days)
    for folder in _BY_AGE:
        staging.sweep(folder, before, keep=lambda name: name[:_LOAD_ID] in needed)
    _thaw(staging, needed)
    if most := staging.retention.loads:
        _forget_oldest(staging, most, needed)


def _needed(staging: Staging) -> set[str]:
    """The loads that a ledger needs."""
    in_doubt = (f"ledgers/{target}/{IN_DOUBT}" for target in staging.names("ledgers"))
    files = {name.removesuffix(".json") for folder in in_doubt for name in staging.names(folder)}
    return files | {folder.split("/")[1] for folder in intent_folders(staging)}


def _thaw(staging: Staging, needed: Collection[str]) -> None:
    """Remove the frozen rows, and plans, of loads that failed and that no try takes up again."""
    frozen = {path.split("/")[0] for path in staging.files_below("loads") if path.endswith(".parquet")} - set(needed)
    reported = staging.newest("reports") if frozen else {}
    failed = {load_id for load_id in frozen if f"{load_id}.json" in reported and _has_failed(staging, load_id)}
    for load_id in _tries_of(staging, {load_id: reported[f"{load_id}.json"] for load_id in failed}):
        for name in staging.names(f"loads/{load_id}"):
            if name.startswith(_FROZEN):
                staging.remove_folder(f"loads/{load_id}/{name}")


def _forget_oldest(staging: Staging, most: int, needed: Collection[str]) -> None:
    """Remove the oldest of the loads that have ended, if there are more than so many."""
    written = staging.newest("reports")
    names = _names_by_load(written)
    if len(names) <= most:
        return
    excess = list(names)[: len(names) - ceil(most * _LEFT)]
    over = [load_id for load_id in excess if load_id not in needed and _is_over(staging, load_id)]
    tries = _tries_of(staging, {load_id: max(written[name] for name in names[load_id]) for load_id in over})
    for load_id, paths in tries.items():
        for path in paths:  # first: a try that knows a load without its log would open its batches again
            staging.remove_folder(path)
        _forget(staging, load_id, names[load_id])


def _tries_of(staging: Staging, reported: Mapping[str, datetime]) -> dict[str, list[str]]:
    """What tells of the tries of loads that were reported at these instants, by load; without those of which another
    try has begun since: it is about to look how the load ended."""
    if not reported:
        return {}
    began = staging.newest("tries")
    found: dict[str, list[str]] = {load_id: [] for load_id in reported}
    for path, load_id in rounds_of(staging, reported).items():
        if began.get(path.split("/")[1], reported[load_id]) > reported[load_id]:
            found.pop(load_id, None)
        elif load_id in found:
            found[load_id].append(path)
    return found


def _is_over(staging: Staging, load_id: str) -> bool:
    """Whether no try takes a load up again."""
    return has_ended(staging, load_id) or _has_failed(staging, load_id)


def _has_failed(staging: Staging, load_id: str) -> bool:
    """Whether a load failed for good: its report tells of no retry."""
    report = staging.read_whole(f"reports/{load_id}.json") or {}
    step = report.get("next_step", "")
    return report.get("state") == "failed" and step != "" and step not in RETRIES


def _names_by_load(written: Mapping[str, datetime]) -> dict[str, list[str]]:
    """Load id -> the names of its reports, the load that was reported least recently first."""
    names: dict[str, list[str]] = {}
    for name in sorted(written, key=written.__getitem__, reverse=True):
        names.setdefault(name[:_LOAD_ID], []).append(name)
    return dict(reversed(names.items()))


def _forget(staging: Staging, load_id: str, reports: Iterable[str]) -> None:
    report = staging.read_whole(f"reports/{load_id}.json") or {}
    forget_samples(staging, report.get("s3_keys", ()))
    staging.remove_folder(f"loads/{load_id}")
    for name in reports:
        staging.remove_folder(f"reports/{name}")
