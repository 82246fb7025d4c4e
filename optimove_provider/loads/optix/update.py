"""The course of one update: rows overwritten by key over PUT, each request visible at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.optix.data_connections import Items, update_data
from optimove_provider.contract.wire.evidence import NONE, Evidence
from optimove_provider.contract.wire.messages import Flow
from optimove_provider.disk.room import at_the_end
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.keys import known_count, newer_rows
from optimove_provider.loads.ledger.lease import InDoubtFor, Lease, acquired
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger
from optimove_provider.loads.ledger.manifest import Manifest, PartlyVisible
from optimove_provider.loads.optix.bisect import Put
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes, keep_rejected
from optimove_provider.loads.optix.sender import MakePut, SliceSender
from optimove_provider.loads.optix.transaction import target_ledger
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.report.bookkeeping import run_once
from optimove_provider.loads.report.max_rejected import NOTHING_SENT, judge
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import request_doubt
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.every_column import columns_for
from optimove_provider.loads.spool.freeze import Frozen, OpenRows, Spool, open_spool
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.spool.slices import RowFiles, Slice, one_file
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression.suppressed_rows import suppressed_rows
from optimove_provider.records.arrow.types import Mask
from optimove_provider.records.to_json.encode import slice_text
from optimove_provider.records.to_json.stamps import fields_of, stamped_items
from optimove_provider.records.to_json.update_items import ItemEncoder, as_source
from optimove_provider.surroundings import after


@dataclass(frozen=True, slots=True)
class Update:
    """What is to be done with the rows of a source. `ttl_column` holds each row's own time to live in seconds."""

    options: UploadOptions
    ttl_column: str | None = None

    def as_source(self, item: str) -> str:
        """The row of the source that an item was made of: what a file of rejected rows holds can be a source again."""
        return as_source(item, self.options.target.primary_key, self.ttl_column)


def load_update(
    client: OptixClient,
    open_rows: OpenRows,
    staging: Staging,
    report: Report,
    update: Update,
    try_number: int = 1,
    resumed: bool = False,
) -> None:
    """Overwrite records by key; `report` tells the story.

    There is no batch: what was accepted before an error is visible, and counts as accepted. Keys that the target has
    from a later load are left out, as stale. A retry with the same load id sends what has no outcome yet, unless
    another load came in between: then it raises PartlyVisible. The ledger of the target learns that what these keys
    hold is not known, and how old it is; or only how old, where the row was put aside. Raises TargetBusy as `load`.
    """
    journal, options = Journal(staging, report.load_id), update.options
    report.requests = client.timeline.counts
    judge_end = partial(judge, report, options.max_rejected, "Everything else was accepted")
    in_doubt = request_doubt(lambda: journal.has_sent, lambda: journal.has_begun_batch)
    with run_once(report, journal, judge_end, in_doubt=in_doubt) as unfinished:
        if unfinished:
            ledger = target_ledger(client, staging, options.target, report)
            spool = _frozen(open_rows, update, journal, ledger, resumed)
            report.rows, report.generation = spool.rows, journal.age.generation.isoformat()
            report.stamp = fields_of(journal.stamp)
            report.tell_warnings(spool.warnings, spool.warning_note)
            keep_rejected(journal, spool, SliceOutcomes(), report, spool.parts)
            judge(report, options.max_rejected, NOTHING_SENT)
            marked = _marked(ledger, journal, update, spool, try_number, report, client.in_doubt_for)
            with marked as (parts, may_send):
                puts = _update_puts(options.target)
                _update(SliceSender(client, parts, journal, options.sending, puts, may_send), spool, report, update)


def _frozen(open_rows: OpenRows, update: Update, journal: Journal, ledger: Ledger | None, resumed: bool) -> Spool:
    target = update.options.target

    def encoder(schema: pa.Schema) -> ItemEncoder:
        return ItemEncoder(
            schema, target.primary_key, target.key_type, update.options.nulls, update.ttl_column, target.ttl_seconds
        )

    opening = columns_for(update.options.nulls, open_rows)
    now = ledger.now if ledger else None
    keeps_texts = update.options.encoding.keeps_texts
    how = Frozen(update.options.stands_for, stamp=update.options.stamp, now=now, keys_as_they_are=keeps_texts)
    return open_spool(journal, opening, encoder, target.primary_key, resumed, how)


@contextmanager
def _marked(
    ledger: Ledger | None,
    journal: Journal,
    update: Update,
    spool: Spool,
    try_number: int,
    report: Report,
    in_doubt_for: InDoubtFor,
) -> Iterator[tuple[RowFiles, Callable[[], None]]]:
    """The rows to send, and the right to: the lease of the target, with their keys marked unknown in its ledger.

    What the ledger has newer is left out, and what is on the suppression list. Raises TargetBusy, and PartlyVisible.
    """
    if ledger is None or not spool.rows:
        if ledger is None:
            report.note(NO_LEDGER)
            _tell_not_known(report, spool.parts.rows)
        yield spool.parts, lambda: None
        return
    with acquired(ledger.manifest_file, journal.load_id, try_number, report.task, in_doubt_for) as lease:
        journal.take_up()
        parts = _known_parts(journal, spool) if journal.has_sent else _mark(ledger, lease, journal, spool)
        report.suppressed = journal.plan.get("suppressed", 0)
        report.stale = spool.fit - parts.rows - report.suppressed
        _tell_not_known(report, journal.plan.get("not_known", parts.rows))  # an older version did not look
        if journal.has_sent and ledger.read().version != journal.invalidated_as:
            outcomes = SliceOutcomes(journal.outcomes())
            report.accepted = outcomes.accepted
            keep_rejected(journal, spool, outcomes, report, parts, update.as_source)
            raise PartlyVisible(
                f"load {journal.load_id}: another load has written to the target since this one began, so its rows, "
                f"which were read at {journal.opened.isoformat()}, may be older. What was answered with success is "
                "there; nothing more is sent. Clear the task to read the source again"
            )
        yield parts, lease.check
        compaction.maintain(ledger, lease)


def _tell_not_known(report: Report, rows: int) -> None:
    """Say that so many rows have keys that nobody knows to be there: an answer to their update counts nothing."""
    if not rows:
        return
    why = f"{rows} of the rows have keys that the ledger does not know to be there"
    report.tell_evidence(Evidence(NONE, why=f"{why}, and an update may leave those out"))
    report.note(
        f"{why}. Whether an update stores those, or leaves them out without a word, is not documented: upload them to "
        "be sure"
    )


def _mark(ledger: Ledger, lease: Lease, journal: Journal, spool: Spool) -> RowFiles:
    """Find what is not to be left out, mark its keys, and return it; a retry will send the same."""
    parts, manifest = spool.parts, ledger.read()
    newer, suppressed = _newer(ledger, manifest, journal, spool), _suppressed(manifest, journal, spool)
    left_out = newer if newer is None or suppressed is None else newer | suppressed
    if left_out is None or left_out.any():
        folder = f"{journal.folder}/update"
        parts = _without(journal.staging, spool.parts.folder, folder, left_out)
    keys_sent = parts.columns(journal.staging, ["_key"]) if parts.rows else ()
    known = known_count(journal.staging, manifest, keys_sent, journal.staging.surroundings.now())
    left = 0 if newer is None or suppressed is None else int(np.count_nonzero(suppressed))
    journal.planned({"parts": asdict(parts), "not_known": parts.rows - known, "suppressed": left})
    keys = (key.as_py() for batch in parts.columns(journal.staging, ["_key"]) for key in batch.column(0))
    unfit = None if newer is None else row_files.refused_keys(journal.staging, spool.parts.folder)
    if parts.rows or unfit:
        until = _first_end(journal.staging, parts)
        manifest = ledger.invalidate(lease, ((key, None) for key in keys), journal.age, unfit, until)
    journal.invalidated(manifest.version)
    return parts


_TTL = r'"ttl":(?P<seconds>[0-9]+)\}$'


def _first_end(staging: Staging, parts: RowFiles) -> datetime | None:
    """When the first of these items expires, at the earliest; None if none does."""
    found = [_shortest(batch["_record"]) for batch in parts.columns(staging, ["_record"])] if parts.rows else []
    ttls = [ttl for ttl in found if ttl is not None]
    return after(staging.surroundings.now(), timedelta(seconds=min(ttls))) if ttls else None


def _shortest(items: pa.StringArray) -> int | None:
    """The least time to live in seconds; None if no item has one."""
    seconds = pc.struct_field(pc.extract_regex(items, pattern=_TTL), "seconds")
    least = pc.min(pc.cast(seconds.drop_null(), pa.int64())).as_py()
    return None if least is None else int(least)


def _newer(ledger: Ledger, manifest: Manifest, journal: Journal, spool: Spool) -> Mask | None:
    """The rows that the ledger has newer; None if they are all, since a newer snapshot is committed."""
    if is_below_watermark(manifest, journal.age):
        return None
    _, last = row_files.size(journal.staging, spool.parts.folder)
    rows = spool.parts.columns(journal.staging, ["_row", "_key"])
    return newer_rows(journal.staging, manifest, rows, last, journal.age)


def _suppressed(manifest: Manifest, journal: Journal, spool: Spool) -> Mask | None:
    """The rows whose keys are on the suppression list; None where there is none."""
    _, last = row_files.size(journal.staging, spool.parts.folder)
    return suppressed_rows(journal.staging, manifest, spool.parts.folder, last)


def _without(staging: Staging, source: str, folder: str, left_out: Mask | None) -> RowFiles:
    """The rows that are not left out, as all are for None, in a folder of their own."""
    staging.remove_folder(folder)  # of a try that ended here
    if left_out is None:
        return one_file(staging, folder, 0)
    rows = row_files.write(staging, f"{folder}/rows.parquet", row_files.pick_rows(staging, source, ~left_out), ROWS)
    return one_file(staging, folder, rows)


def _known_parts(journal: Journal, spool: Spool) -> RowFiles:
    """What an earlier try found to be sent."""
    return RowFiles(**journal.plan["parts"]) if journal.plan else spool.parts


def _update(sender: SliceSender, spool: Spool, report: Report, update: Update) -> None:
    if not sender.parts.rows:
        report.state = "nothing_to_send"
        return
    sender.begin(sender.journal.resume_or_begin_batch(resume_within=None))

    def keep_outcomes() -> None:
        report.accepted = sender.outcomes.accepted
        keep_rejected(sender.journal, spool, sender.outcomes, report, sender.parts, update.as_source)

    with at_the_end("to write the rejected rows", keep_outcomes):
        sender.send(range(sender.parts.slices))
    report.state = "committed"


def _update_puts(target: OptixTarget) -> MakePut:
    def put_of(slice_: Slice) -> Put:
        def put(rows: Sequence[int]) -> Flow[None]:
            items = slice_text(slice_.some(rows, stamped_items))
            return update_data(target.data_connection_uuid, Items(len(rows), items))

        return put

    return put_of
