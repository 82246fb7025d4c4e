"""One Opti-X load, from rows to a report: freeze the rows, bring the target to what they say, account for every row."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

import pyarrow as pa

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.optix import formula
from optimove_provider.loads.accounting import accounted
from optimove_provider.loads.flight import Flight, Totals
from optimove_provider.loads.journal import Journal
from optimove_provider.loads.ledger import Ledger, ledger_of
from optimove_provider.loads.rejects import judge, judge_expired, keep_rejected
from optimove_provider.loads.report import Report
from optimove_provider.loads.spool import OpenRows, Spool, frozen
from optimove_provider.loads.staging import Staging
from optimove_provider.loads.synced import Synced, sent
from optimove_provider.loads.wanted import Wanted
from optimove_provider.records.encode import Encoder

log = logging.getLogger(__name__)

NO_LEDGER = (
    "[optimove] staging is on a storage without compare-and-swap: this load has no ledger, so nothing keeps an older "
    "load from overwriting a newer one, nor two loads from running at once"
)


@contextmanager
def told(report: Report, journal: Journal) -> Iterator[bool]:
    """Whether there is anything left to do; keeps state, problem and time in the report, and the result in staging."""
    if journal.course.result:
        log.info("load %s was finished by an earlier try", report.load_id)
        report.restore(journal.course.result)
        yield False
        return
    with accounted(report):
        yield True
    journal.finish(report.as_json())


def load(
    client: OptixClient,
    open_rows: OpenRows,
    staging: Staging,
    report: Report,
    wanted: Wanted,
    try_number: int = 1,
    resumed: bool = False,
) -> None:
    """Bring a data connection to what the rows say; `report` tells the story.

    A retry with the same load id goes on where the last try ended. On an error the batch stays open, so no row becomes
    visible. Raises TargetBusy while another load works on the target: call again, with `resumed`, and the source is not
    read again. Raises TooManyRejected also after the good rows were committed.
    """
    journal = Journal(staging, report.load_id)
    with told(report, journal) as unfinished:
        if unfinished:
            ledger = _ledger(client, staging, wanted)
            spool = _frozen(open_rows, journal, wanted, resumed, wanted.compares or _guards_changes(wanted, ledger))
            _tell_spool(spool, journal, report, wanted)
            if ledger:
                Synced(client, ledger, wanted, journal, spool, report).run(try_number)
            else:
                _send_all(client, spool, journal, report, wanted.without_ledger())
    judge(report, wanted.max_rejected, "Everything else was committed")
    judge_expired(report, wanted.max_rejected)


def plan(client: OptixClient, open_rows: OpenRows, staging: Staging, report: Report, wanted: Wanted) -> None:
    """Tell in `report` what `load` would do. Nothing is sent, and nothing is left in staging but the report."""
    journal, wanted = Journal(staging, report.load_id), replace(wanted, dry_run=True)
    try:
        spool = _frozen(open_rows, journal, wanted, resumed=False, compared=True)
        _tell_spool(spool, journal, report, wanted)
        ledger = _ledger(client, staging, wanted)
        if ledger:
            Synced(client, ledger, wanted, journal, spool, report).plan()
        else:
            wanted.without_ledger()
            report.note(NO_LEDGER)
        report.state = "planned"
    finally:
        staging.remove_folder(journal.folder)


def _ledger(client: OptixClient, staging: Staging, wanted: Wanted) -> Ledger | None:
    return ledger_of(staging, "optix", client.settings.host, wanted.target.data_connection_uuid)


def _guards_changes(wanted: Wanted, ledger: Ledger | None) -> bool:
    """Whether a guard has to know how many rows differ from what the target has."""
    return wanted.guards.max_changed_share is not None and ledger is not None and bool(ledger.read().layers)


def _frozen(open_rows: OpenRows, journal: Journal, wanted: Wanted, resumed: bool, compared: bool) -> Spool:
    target = wanted.target

    def encoder(schema: pa.Schema) -> Encoder:
        return Encoder(schema, target.primary_key, target.key_type, wanted.nulls)

    return frozen(journal, open_rows, encoder, target.primary_key, resumed, compared)


def _tell_spool(spool: Spool, journal: Journal, report: Report, wanted: Wanted) -> None:
    report.rows = spool.rows
    report.replay = {
        **asdict(wanted.target),
        "nulls": wanted.nulls,
        "generation": (wanted.generation or journal.opened).isoformat(),
    }
    report.formulas = {name: formula(wanted.target.data_connection_uuid, name) for name in sorted(spool.columns)}
    keep_rejected(journal, spool, Totals(), report, spool.parts)
    judge(report, wanted.max_rejected, "Nothing was sent")


def _send_all(client: OptixClient, spool: Spool, journal: Journal, report: Report, wanted: Wanted) -> None:
    """Send every row, where there is no ledger to compare with."""
    report.note(NO_LEDGER)
    if not spool.fit:
        report.state = "nothing_to_send"
        return
    totals = sent(Flight(client, spool.parts, journal, wanted.manner), wanted.target, report)
    report.accepted = totals.accepted
    keep_rejected(journal, spool, totals, report, spool.parts)
    report.state = "committed"
