"""Records of named keys made to expire: each is replaced by its key alone, with a TTL of one second, in one batch.

So it works for keys that no load brought, too. The ledger gets an intent before and tombstones after, as for what a
snapshot lacks; the suppression list, if it is asked for, comes first of all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.wire.errors import OptimoveProviderError, SettingsError
from optimove_provider.disk.room import keeping
from optimove_provider.loads.erasure.proof import write_proof
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.keys import keys_in, newer_rows
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger, Refusals
from optimove_provider.loads.ledger.manifest import Manifest, PlanRef
from optimove_provider.loads.optix.batch import NothingAccepted, send_batch, upload_puts
from optimove_provider.loads.optix.expiry import TTL_SECONDS, Expiry
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes, keep_rejected
from optimove_provider.loads.optix.sender import SliceSender
from optimove_provider.loads.optix.transaction import FEW, target_ledger, withdraw_intent
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.plan.replan import is_committed, still_holds
from optimove_provider.loads.report.bookkeeping import run_once
from optimove_provider.loads.report.max_rejected import judge
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import batch_doubt
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.freeze import Frozen, OpenRows, Spool, open_spool
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.spool.slices import RowFiles, one_file
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression import suppression_list
from optimove_provider.loads.suppression.key_digests import KeyDigests, key_text
from optimove_provider.records.rows import Rows, Unread
from optimove_provider.records.to_json.encode import Encoder


@dataclass(frozen=True, slots=True)
class ExpireOptions:
    """`upload` says where to, how old the keys are and how they are sent; its target has no TTL of its own.

    `suppress` puts the keys on the target's suppression list before anything is sent. Then nothing newer can be there,
    or come: so they expire whatever the ledger has of them. Otherwise what it has newer stays.
    """

    upload: UploadOptions
    suppress: bool = False


def expire_keys(
    client: OptixClient,
    open_rows: OpenRows,
    staging: Staging,
    report: Report,
    options: ExpireOptions,
    try_number: int = 1,
    resumed: bool = False,
) -> None:
    """Make the records of the source's keys expire; `report` tells the story, and a file beside it is the proof.

    Of a source's columns only the key is read. Raises as `loads.optix.load`, and SettingsError where staging can hold
    no ledger.
    """
    journal, upload = Journal(staging, report.load_id), options.upload
    report.requests = client.timeline.counts
    judge_end = partial(judge, report, upload.max_rejected, "Everything else was made to expire")
    in_doubt = batch_doubt(journal, lambda: report.accepted)
    with run_once(report, journal, judge_end, in_doubt=in_doubt) as unfinished:
        if unfinished:
            ledger = target_ledger(client, staging, upload.target, report)
            if ledger is None:
                raise SettingsError(
                    "keys are made to expire with a ledger, which lets no load bring them back meanwhile, and "
                    "[optimove] staging is on a storage without compare-and-swap: use a local folder or S3"
                )
            spool = _frozen(open_rows, journal, upload, ledger, resumed)
            report.rows, report.generation = spool.rows, journal.age.generation.isoformat()
            report.tell_warnings(spool.warnings, spool.warning_note)
            keep_rejected(journal, spool, SliceOutcomes(), report, spool.parts)
            judge(report, upload.max_rejected, "Nothing was sent")
            if spool.fit:
                _Expiring(client, ledger, options, journal, spool, report).run(try_number)
            else:
                report.state = "nothing_to_send"


def _frozen(open_rows: OpenRows, journal: Journal, upload: UploadOptions, ledger: Ledger, resumed: bool) -> Spool:
    primary_key, key_type = upload.target.primary_key, upload.target.key_type

    def encoder(schema: pa.Schema) -> Encoder:
        return Encoder(schema, primary_key, key_type)

    @contextmanager
    def only_keys() -> Iterator[Rows]:
        with open_rows() as rows:
            yield (_only(primary_key, item) for item in rows)

    return open_spool(journal, only_keys, encoder, primary_key, resumed, Frozen(upload.stands_for, now=ledger.now))


def _only(column: str, item: pa.RecordBatch | Unread) -> pa.RecordBatch | Unread:
    """The one column, if it is there: whatever else a source tells of a person stays out of staging."""
    return item.select([column]) if isinstance(item, pa.RecordBatch) and column in item.schema.names else item


@dataclass(frozen=True, slots=True)
class _Expiring:
    client: OptixClient
    ledger: Ledger
    options: ExpireOptions
    journal: Journal
    spool: Spool
    report: Report

    def run(self, try_number: int) -> None:
        report = self.report
        manifest_file, in_doubt_for = self.ledger.manifest_file, self.client.in_doubt_for
        with acquired(manifest_file, report.load_id, try_number, report.task, in_doubt_for) as lease:
            self.journal.take_up()
            if self.options.suppress:
                suppression_list.add(self.ledger, lease, self._texts(), f"load {report.load_id}")
            expiry = self._planned()
            report.stale = self.spool.fit - expiry.rows
            outcomes = self._sent(lease, expiry) if expiry.rows else SliceOutcomes()
            report.accepted = outcomes.accepted
            keep_rejected(self.journal, self.spool, outcomes, report, self._parts(expiry))
            digests = KeyDigests(suppression_list.salt_of(self.ledger, lease))
            write_proof(self.journal, self.spool, self._parts(expiry), outcomes, report, digests)
            compaction.maintain(self.ledger, lease)
        report.state = "committed" if expiry.rows else "nothing_to_send"

    def _texts(self) -> Iterator[str]:
        for keys in keys_in(self.journal.staging, self.spool.parts.folder):
            yield from map(key_text, keys.to_pylist())

    def _planned(self) -> Expiry:
        """What is to be sent: as an earlier try found it, where that still holds. `written_as` is filled in later."""
        journal, manifest = self.journal, self.ledger.read()
        if is_committed(journal, manifest):
            journal.committed()
        if not still_holds(journal, manifest):
            journal.planned(self._plan(manifest, journal.begin_planning()))
        found = journal.plan
        return Expiry(found["rows"], found["sent"], 0, Age.from_json(found["age"]))

    def _plan(self, manifest: Manifest, folder: str) -> dict[str, Any]:
        staging, spooled = self.journal.staging, self.spool.parts.folder
        _, last = row_files.size(staging, spooled)
        age = self.journal.age
        wanted = np.ones(last + 1, np.bool_)
        if self.options.suppress:
            age = Age.of(self.ledger.now)
        elif is_below_watermark(manifest, age):
            wanted[:] = False
        else:
            rows = self.spool.parts.columns(staging, ["_row", "_key"])
            wanted = ~newer_rows(staging, manifest, rows, last, age)
        staging.remove_folder(folder)  # of a try that ended here
        picked = row_files.pick_rows(staging, spooled, wanted)
        rows_sent = row_files.write(staging, f"{folder}/rows.parquet", picked, ROWS)
        return {"planned_against": manifest.version, "rows": rows_sent, "sent": folder, "age": age.as_json()}

    def _sent(self, lease: Lease, expiry: Expiry) -> SliceOutcomes:
        """Send and commit. Of what an earlier try has committed, only the account is made up again."""
        journal, report = self.journal, self.report
        if journal.stage is Stage.COMMITTED:
            report.batch_uuid = journal.batch_uuid
            return SliceOutcomes(journal.outcomes())
        if not journal.has_sent:  # from here on the keys stay what they are
            journal.begin_batch()
        planned_against = journal.plan["planned_against"]
        intended = self.ledger.write_intent(lease, planned_against, expiry.age, expiry.sent, "removed")
        sender = self._sender(lease, expiry)
        self._send(lease, sender)
        ref = PlanRef(journal.load_id, planned_against)
        refused = Refusals(list(sender.refused_rows()), journal.has_sent_before)
        manifest = self.ledger.commit_expired(lease, intended.version, expiry.age, expiry.sent, refused, ref)
        report.ledger_version = manifest.version
        journal.committed()
        return sender.outcomes

    def _sender(self, lease: Lease, expiry: Expiry) -> SliceSender:
        puts, parts = upload_puts(self._target, self.journal), self._parts(expiry)
        sending, probe = self.options.upload.sending, parts.rows >= FEW
        return SliceSender(self.client, parts, self.journal, sending, puts, lease.check, probe=probe)

    def _send(self, lease: Lease, sender: SliceSender) -> None:
        try:
            send_batch(sender, self._target, self.report)
        except NothingAccepted:
            self.journal.completed(nothing_taken=True)  # there is nothing left to send: what is there stays as it is
        except OptimoveProviderError as error:
            with keeping(error, "to withdraw the intent"):
                withdraw_intent(self.ledger, lease, self.journal)
            raise

    @property
    def _target(self) -> OptixTarget:
        return self.options.upload.target.with_ttl(TTL_SECONDS)

    def _parts(self, expiry: Expiry) -> RowFiles:
        return one_file(self.journal.staging, expiry.sent, expiry.rows)
