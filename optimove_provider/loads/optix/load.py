"""One Opti-X load, from rows to a report: freeze the rows, bring the target to what they say, account for every row."""

import logging
from dataclasses import asdict, replace

import pyarrow as pa

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.optix.data_connections import formula
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger, ledger_of
from optimove_provider.loads.optix.batch import send_batch, upload_puts
from optimove_provider.loads.optix.options import UploadOptions
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes, keep_rejected
from optimove_provider.loads.optix.sender import SliceSender
from optimove_provider.loads.optix.transaction import Transaction
from optimove_provider.loads.report.bookkeeping import keep_account, run_once
from optimove_provider.loads.report.max_rejected import judge, judge_expired
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.every_column import with_every_column
from optimove_provider.loads.spool.freeze import OpenRows, Spool, open_spool
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.to_json.encode import Encoder

log = logging.getLogger(__name__)


def load(
    client: OptixClient,
    open_rows: OpenRows,
    staging: Staging,
    report: Report,
    wanted: UploadOptions,
    try_number: int = 1,
    resumed: bool = False,
) -> None:
    """Bring a data connection to what the rows say; `report` tells the story.

    A retry with the same load id goes on where the last try ended. On an error the batch stays open, so no row becomes
    visible. Raises TargetBusy while another load works on the target: call again, with `resumed`, and the source is not
    read again. Raises TooManyRejected also after the good rows were committed.
    """
    journal = Journal(staging, report.load_id)

    def judge_end() -> None:
        judge(report, wanted.max_rejected, "Everything else was committed")
        judge_expired(report, wanted.max_rejected)

    with run_once(report, journal, judge_end) as unfinished:
        if unfinished:
            ledger = _ledger(client, staging, wanted)
            spool = _frozen(open_rows, journal, wanted, resumed, wanted.compares or _guards_changes(wanted, ledger))
            _tell_spool(spool, journal, report, wanted)
            if ledger:
                Transaction(client, ledger, wanted, journal, spool, report).run(try_number)
            else:
                _send_all(client, spool, journal, report, wanted.without_ledger())


def plan(client: OptixClient, open_rows: OpenRows, staging: Staging, report: Report, wanted: UploadOptions) -> None:
    """Tell in `report` what `load` would do. Nothing is sent, and nothing is left in staging but the report."""
    journal, wanted = Journal(staging, report.load_id), replace(wanted, dry_run=True)
    try:
        with keep_account(report, staging):
            spool = _frozen(open_rows, journal, wanted, resumed=False, compared=True)
            _tell_spool(spool, journal, report, wanted)
            ledger = _ledger(client, staging, wanted)
            if ledger:
                Transaction(client, ledger, wanted, journal, spool, report).plan()
            else:
                wanted.without_ledger()
                report.note(NO_LEDGER)
            report.state = "planned"
    finally:
        staging.remove_folder(journal.folder)


def _ledger(client: OptixClient, staging: Staging, wanted: UploadOptions) -> Ledger | None:
    settings = client.settings
    return ledger_of(staging, "optix", settings.host, wanted.target.data_connection_uuid, settings.target_alias)


def _guards_changes(wanted: UploadOptions, ledger: Ledger | None) -> bool:
    """Whether a guard is likely to ask how many rows differ from what the target has.

    That is known under the lease only. Fingerprints that are made now need not be made then.
    """
    return wanted.guards.max_changed_share is not None and ledger is not None and bool(ledger.read().layers)


def _frozen(open_rows: OpenRows, journal: Journal, wanted: UploadOptions, resumed: bool, compared: bool) -> Spool:
    target = wanted.target

    def encoder(schema: pa.Schema) -> Encoder:
        return Encoder(schema, target.primary_key, target.key_type, wanted.nulls)

    opening = open_rows if wanted.nulls == "omit" else with_every_column(open_rows)
    return open_spool(journal, opening, encoder, target.primary_key, resumed, compared, wanted.stands_for)


def _tell_spool(spool: Spool, journal: Journal, report: Report, wanted: UploadOptions) -> None:
    report.rows = spool.rows
    report.replay = {
        **asdict(wanted.target),
        "nulls": wanted.nulls,
        **journal.age.as_json(),
    }
    report.formulas = {name: formula(wanted.target.data_connection_uuid, name) for name in sorted(spool.columns)}
    keep_rejected(journal, spool, SliceOutcomes(), report, spool.parts)
    judge(report, wanted.max_rejected, "Nothing was sent")


def _send_all(client: OptixClient, spool: Spool, journal: Journal, report: Report, wanted: UploadOptions) -> None:
    """Send every row, where there is no ledger to compare with."""
    report.note(NO_LEDGER)
    if not spool.fit:
        report.state = "nothing_to_send"
        return
    sender = SliceSender(client, spool.parts, journal, wanted.sending, upload_puts(wanted.target, journal))
    outcomes = send_batch(sender, wanted.target, report)
    report.accepted = outcomes.accepted
    keep_rejected(journal, spool, outcomes, report, spool.parts)
    report.state = "committed"
