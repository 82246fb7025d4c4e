"""Sending the rejected rows of a load again, once whatever was wrong with them is mended."""

import json
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.options import Guards, Sending
from optimove_provider.tasks.sources import open_file, open_rows, rejected_marker
from optimove_provider.tasks.staging import staging

if TYPE_CHECKING:
    from optimove_provider.loads.report.report import Report


JUDGED = Guards(max_changed_share=None)
"""What a replay takes for an accident, unless told otherwise: its rows were judged when their load was."""


def replay(
    file: str,
    optix_conn_id: str = OptixHook.default_conn_name,
    dry_run: bool = False,
    guards: Guards = JUDGED,
    sending: Sending = Sending(),
) -> dict[str, Any]:
    """Validate the rows of a load's rejected file again, and send those that are fit; returns the account.

    They go where the load went, as that load's report beside the file tells, carry its stamp, and stand for the same
    instant: what the target has got since then is not overwritten. Rows that are still wrong are rejected once more,
    into a file of the replay's own. Raises the errors of a load.
    """
    from optimove_provider.loads.optix.load import load, plan
    from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
    from optimove_provider.loads.report.begun import tell_begun
    from optimove_provider.loads.report.report import Report

    told = _told(file)
    known = dict(told["replay"])
    try:
        generation, opened = (datetime.fromisoformat(known.pop(name)) for name in ("generation", "opened"))
        nulls, owes = known.pop("nulls"), bool(known.pop("resend_rejected", False))  # an older version had no others
        stamp, deleted_column = known.pop("stamp", ""), known.pop("deleted_column", None)
        target = OptixTarget(**known)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the report of the load of {file!r} does not tell where its rows went: {error!r}; give the file as "
            "source= of a task"
        ) from None
    # Everything that is fit goes, whatever is rejected again: the account tells. If the load's refused rows are owed,
    # those of its replay are too; what else is owed waits for a load.
    options = UploadOptions(
        target,
        nulls=nulls,
        stamp=stamp,
        deleted_column=deleted_column,
        generation=generation,
        opened=opened,
        max_rejected=told["rejected"],
        all_may_be_bad=True,
        guards=guards,
        resend_rejected=owes,
        sending=replace(sending, owed_tries=0),
    )
    with OptixHook(optix_conn_id).get_conn() as client:
        is_same = client.settings.target_alias == "same"
        if client.settings.place != told["target"]["host"] and not is_same:
            raise SettingsError(
                f"{file} was sent to {told['target']['host']}, but connection {optix_conn_id!r} is for "
                f"{client.settings.place}: name the connection that the load used"
            )
        place = staging()
        run = {"dag_id": told["run"]["dag_id"]} if told.get("run") else {}  # who may see the load may see its replay
        task, new_id = f"a replay of {file}", str(place.surroundings.new_id())
        report = Report(new_id, told["target"], task=task, run=run, mode="replay")
        tell_begun(place, report)
        do = plan if dry_run else load
        do(client, partial(open_rows, file, None, None), place, report, options)
    return {**report.result(place), "rejected_file": report.rejected_file, "message": _message(report)}


def _message(report: "Report") -> str:
    """What is to be said of a replay of which nothing was sent."""
    if report.state != "nothing_to_send" or not (report.stale or report.suppressed):
        return ""
    stale = (
        f"{report.stale} of {report.rows} rows are stale, as the target has newer ones, or a newer snapshot that held "
        "their keys or lacked them"
    )
    suppressed = f"{report.suppressed} of {report.rows} rows are suppressed: their keys are on the suppression list"
    told = [*([stale] if report.stale else []), *([suppressed] if report.suppressed else [])]
    return f"nothing was sent: {'; '.join(told)}"


def _told(file: str) -> dict[str, Any]:
    """The report of the load whose rejected rows these are, which the lines name, whatever the file is called."""
    from optimove_provider.records.files import format_of
    from optimove_provider.records.rejected_lines import REJECTED_ENDING

    marker = rejected_marker(file) if format_of(file) == "json" else None
    if marker is None and not file.endswith(REJECTED_ENDING):
        raise DataError(
            f"{file!r} is no file of rejected rows: its lines have no load, generation and opened; give one as a load "
            "wrote it"
        )
    place = f"reports/{marker.load}.json" if marker else ""
    told = (staging().read_whole(place) if place else None) or _beside(file)
    if told is None:
        raise DataError(
            f"{file!r}: the report of its load, {staging().url(place) if place else 'beside it'}, is not there, or "
            "is damaged, and tells where the rows went. It is kept for [optimove] keep_days. Load the file as source= "
            "of a task instead: its rows are as old as their load there too"
        )
    if not told.get("replay"):
        raise DataError(
            f"{file!r}: only rows of an OptixUploadOperator can be replayed; give others as source= of their operator"
        )
    return dict(told)


def _beside(file: str) -> dict[str, Any] | None:
    """The report beside a file of rejected rows that has its first name still; None if there is none to be read."""
    from optimove_provider.records.rejected_lines import REJECTED_ENDING

    if not file.endswith(REJECTED_ENDING):
        return None
    try:
        with open_file(file.removesuffix(REJECTED_ENDING) + ".json") as report:
            return dict(json.load(report)) or None
    except (DataError, ValueError, TypeError):
        return None
