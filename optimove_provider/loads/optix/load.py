"""One Opti-X load, from rows to a report: freeze the rows, bring the target to what they say, account for every row."""

from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.optix.data_connections import formula, has_formula
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.disk.room import at_the_end
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger
from optimove_provider.loads.optix.batch import NothingAccepted, send_batch, upload_puts
from optimove_provider.loads.optix.options import UploadOptions
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes, keep_rejected
from optimove_provider.loads.optix.sender import SliceSender
from optimove_provider.loads.optix.transaction import Transaction, target_ledger
from optimove_provider.loads.report.bookkeeping import keep_account, kept_until_sent, run_once
from optimove_provider.loads.report.max_rejected import NOTHING_SENT, judge, judge_expired
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import Doubt, batch_doubt
from optimove_provider.loads.spool.every_column import columns_for
from optimove_provider.loads.spool.first_rows import limit_note, opened_first
from optimove_provider.loads.spool.freeze import Frozen, Spool, kept_or_frozen, open_spool
from optimove_provider.loads.spool.frozen_parts import FrozenParts, RowSource
from optimove_provider.loads.spool.slices import RowFiles
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.shard_tries import requests_of_shards
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.rows import FirstRows
from optimove_provider.records.to_json.stamps import fields_of


def load(
    client: OptixClient,
    source: RowSource,
    staging: Staging,
    report: Report,
    options: UploadOptions,
    try_number: int = 1,
    resumed: bool = False,
) -> None:
    """Bring a data connection to what the rows say; `report` tells the story.

    A retry with the same load id goes on where the last try ended. On an error the batch stays open, so no row becomes
    visible. Raises TargetBusy while another load works on the target: call again, with `resumed`, and the source is not
    read again. Raises TooManyRejected also after the good rows were committed.
    """
    journal, report.requests = Journal(staging, report.load_id), client.timeline.counts

    def judge_end() -> None:
        judge(report, options.max_rejected, "Everything else was committed")
        judge_expired(report, options.max_rejected)

    with run_once(report, journal, judge_end, in_doubt=_in_doubt(journal, report)) as unfinished:
        if unfinished:
            client.timeline.go_on_from(requests_of_shards(journal))
            ledger = target_ledger(client, staging, options.target, report)
            spool = _spooled(source, journal, options, ledger, resumed, report)
            if ledger:
                Transaction(client, ledger, options, journal, spool, report).run(try_number)
            else:
                _send_all(client, spool, journal, report, options.without_ledger())


def begin_in_shards(
    client: OptixClient,
    source: RowSource,
    staging: Staging,
    report: Report,
    options: UploadOptions,
    reserved_for: timedelta,
    try_number: int = 1,
    resumed: bool = False,
) -> tuple[Journal, RowFiles | None]:
    """Do all of `load` that comes before the first request, for several workers that send, and one that calls `load`
    at the end. The lease stays with the load for as long as it is `reserved_for`.

    Returns the rows to send, None if there are none. Raises as `load`, and SettingsError where no ledger can be: nobody
    would keep another load away.
    """
    journal = Journal(staging, report.load_id)
    with kept_until_sent(report, journal, _in_doubt(journal, report)):
        ledger = target_ledger(client, staging, options.target, report)
        if ledger is None:
            raise SettingsError(
                f"{staging.url('')} is on a storage without compare-and-swap, where no lease keeps other loads away "
                "while several workers send this one. Use a bucket on S3, or a folder that all workers share"
            )
        spool = _spooled(source, journal, options, ledger, resumed, report)
        _, parts = Transaction(client, ledger, options, journal, spool, report).reserve(try_number, reserved_for)
    return journal, parts


def _in_doubt(journal: Journal, report: Report) -> Doubt:
    return batch_doubt(journal, lambda: report.accepted or report.owed.get("accepted", 0))


def _spooled(
    source: RowSource,
    journal: Journal,
    options: UploadOptions,
    ledger: Ledger | None,
    resumed: bool,
    report: Report,
) -> Spool:
    """The frozen rows, of which the report is told. Raises TooManyRejected."""
    compared = options.compares or _guards_changes(options, ledger)
    spool = _frozen(source, journal, options, ledger, resumed, compared)
    _tell_spool(spool, journal, report, options)
    return spool


def plan(client: OptixClient, source: RowSource, staging: Staging, report: Report, options: UploadOptions) -> None:
    """Tell in `report` what `load` would do. Nothing is sent, and nothing is left in staging but the report; where it
    fails, what others have read for it, so that it can be tried again."""
    journal, options = Journal(staging, report.load_id), replace(options, dry_run=True)
    with at_the_end("to remove the frozen rows", journal.remove_rows), keep_account(report, staging):
        ledger = target_ledger(client, staging, options.target, report)
        spool = _frozen(source, journal, options, ledger, resumed=False, compared=True)
        _tell_spool(spool, journal, report, options)
        if ledger:
            Transaction(client, ledger, options, journal, spool, report).plan()
        else:
            options.without_ledger()
            report.note(NO_LEDGER)
        report.state = "planned"
    staging.remove_folder(journal.folder)


def _guards_changes(options: UploadOptions, ledger: Ledger | None) -> bool:
    """Whether a guard is likely to ask how many rows differ from what the target has.

    That is known under the lease only. Fingerprints that are made now need not be made then.
    """
    return options.guards.max_changed_share is not None and ledger is not None and bool(ledger.read().layers)


def _frozen(
    source: RowSource,
    journal: Journal,
    options: UploadOptions,
    ledger: Ledger | None,
    resumed: bool,
    compared: bool,
) -> Spool:
    encoding, first = options.encoding, FirstRows(options.limit)
    how = Frozen(options.stands_for, compared, options.stamp, encoding.deleted, keys_as_they_are=encoding.keeps_texts)
    if ledger:
        known = ledger.read()
        how = replace(how, now=ledger.after(known), seed=known.key_digest.seed)
    if isinstance(source, FrozenParts):
        freeze_as = partial(source.put_together, journal.staging, encoding.primary_key)
        return kept_or_frozen(journal, freeze_as, resumed, how)
    opening = columns_for(encoding.nulls, opened_first(source, first))
    return open_spool(journal, opening, encoding.encoder, encoding.primary_key, resumed, how, first)


def _tell_spool(spool: Spool, journal: Journal, report: Report, options: UploadOptions) -> None:
    report.rows = spool.rows
    report.tell_warnings(spool.warnings, spool.warning_note)
    if told := limit_note(options.limit, spool.has_more):
        report.note(told)
    report.generation = journal.age.generation.isoformat()
    report.replay = {
        **asdict(options.target),
        "nulls": options.nulls,
        "resend_rejected": options.resend_rejected,
        "stamp": journal.stamp,
        "deleted_column": options.deleted_column,
        **journal.age.as_json(),
    }
    report.stamp = fields_of(journal.stamp)
    named = filter(has_formula, sorted({*spool.columns, *report.stamp}))
    report.formulas = {name: formula(options.target.data_connection_uuid, name) for name in named}
    keep_rejected(journal, spool, SliceOutcomes(), report, spool.parts)
    judge(report, options.max_rejected, NOTHING_SENT)


def _send_all(client: OptixClient, spool: Spool, journal: Journal, report: Report, options: UploadOptions) -> None:
    """Send every row, where there is no ledger to compare with."""
    report.note(NO_LEDGER)
    if not spool.fit:
        report.state = "nothing_to_send"
        return
    puts, probe = upload_puts(options.target, journal), not options.all_may_be_bad
    sender = SliceSender(client, spool.parts, journal, options.sending, puts, probe=probe)
    try:
        send_batch(sender, options.target, report)
    except NothingAccepted:
        if not options.all_may_be_bad:
            raise
    report.accepted = sender.outcomes.accepted
    keep_rejected(journal, spool, sender.outcomes, report, spool.parts)
    report.state = "committed"
