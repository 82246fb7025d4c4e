"""The course of a load into a target that has a ledger: lease, plan, guards, intent, batch, commit, expiry."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.disk.room import keeping
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, LeaseLost, acquired
from optimove_provider.loads.ledger.ledger import Ledger, Refusals, ledger_of
from optimove_provider.loads.optix.batch import NothingAccepted, send_batch, upload_puts
from optimove_provider.loads.optix.expiry import TTL_SECONDS, begin_expiry, commit_expiry
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.optix.rejected_rows import RefusedRow, SliceOutcomes, keep_rejected
from optimove_provider.loads.optix.sender import SliceSender
from optimove_provider.loads.owed.settlement import RefusedRows, settle
from optimove_provider.loads.plan.columns import LoadColumns
from optimove_provider.loads.plan.plan import Plan
from optimove_provider.loads.plan.replan import plan_or_reuse, still_holds
from optimove_provider.loads.report.max_rejected import EXAMPLES, allowed_of
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.freeze import Spool
from optimove_provider.loads.spool.slices import RowFiles, one_file
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.state.shard_tries import shards_in_doubt_for
from optimove_provider.loads.state.staging import Staging

FEW = 100
"""Of fewer rows all may be bad, so that they are looked at one by one: what is the same with all is not the request."""


class ShardsOutdated(OptimoveProviderError):
    """Several workers have sent a plan that cannot be carried out any more: another load has written since."""

    then = NextStep.CLEAR_GROUP

    @classmethod
    def of(cls, journal: Journal) -> Self:
        """The error of a load."""
        return cls(
            f"load {journal.load_id}: another load has written to the target since this one was planned, so what its "
            f"shards have sent, or would send, under batch {journal.batch_uuid} is outdated. The batch was never "
            "completed, so nothing of it is visible: clear the whole group"
        )


def target_ledger(client: OptixClient, staging: Staging, target: OptixTarget, report: Report) -> Ledger | None:
    """The ledger of a target that is to be written to, None where staging can hold none; `report` is told what is odd
    about its keys. Raises OtherKeyType, before anything is read or sent, and SettingsError."""
    settings = client.settings
    uuid, alias = target.data_connection_uuid, settings.target_alias
    ledger = ledger_of(staging, "optix", settings.host, uuid, alias, target.key_type)
    if ledger and (remark := ledger.check_key_type()):
        report.note(remark)
    return ledger


def withdraw_intent(ledger: Ledger, lease: Lease, journal: Journal) -> None:
    """If no request was ever sent that completes a batch, nothing of this load can be visible: no other load need take
    its rows for unknown. A retry goes on with the same plan."""
    if journal.may_be_visible:
        return
    with suppress(LeaseLost):
        journal.rebase_plan(ledger.withdraw_intent(lease).version)


def write_intent(ledger: Ledger, lease: Lease, plan: Plan) -> None:
    """Write the intent of a plan down. Raises CommitConflict where it cannot be carried out any more, and LeaseLost."""
    owed_folder = plan.owed.sent if plan.owed else ""
    ledger.write_intent(lease, plan.planned_against, plan.load.age, plan.sent, owed=owed_folder)


def rows_of(staging: Staging, plan: Plan, spool: Spool) -> RowFiles:
    """The rows that a plan sends: those that were frozen, or some of them, in a folder of their own."""
    is_all = plan.sent == spool.parts.folder
    return spool.parts if is_all else one_file(staging, plan.sent, plan.to_send)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One load into a target with a ledger, and whoever it needs."""

    client: OptixClient
    ledger: Ledger
    options: UploadOptions
    journal: Journal
    spool: Spool
    report: Report

    def run(self, try_number: int) -> None:
        """Bring the target to what the rows say. Raises TargetBusy, and what planning and sending raise."""
        with self._acquired(try_number) as lease:
            self.journal.take_up()
            self._check_shards()
            plan = self.plan()
            sender = self._send(lease, plan)
            refused = self._expire(lease, plan) if plan.removed else []
            has_sent = plan.to_send or plan.owed_to_send or self.report.expired or self.report.not_expired
            if plan.load.deletes_by:
                self._tell_deleted(plan, sender, refused)
            compaction.maintain(self.ledger, lease)
        self.report.state = "committed" if has_sent else "nothing_to_send"

    def reserve(self, try_number: int, reserved_for: timedelta) -> tuple[Plan, RowFiles | None]:
        """Plan, and write down what will be sent, for the workers that send it: the lease stays with the load. Returns
        the plan, and the rows, None if nothing has to be sent. Raises as `run`."""
        with self._acquired(try_number) as lease:
            self.journal.take_up()
            plan = self.plan()
            parts = None
            if (plan.to_send or plan.owed_to_send) and self.journal.stage is not Stage.COMMITTED:
                self._intend(lease, plan)
                parts = self.sent_rows(plan)
                self.journal.begin_shards(self.report.task)
            lease.reserve(self.ledger.now + reserved_for)
        return plan, parts

    def _acquired(self, try_number: int) -> AbstractContextManager[Lease]:
        """The lease, while the block lasts and whatever may still be under way: of shards, too."""

        def in_doubt_for() -> timedelta:
            return max(self.client.in_doubt_for(), shards_in_doubt_for(self.journal))

        return acquired(self.ledger.manifest_file, self.report.load_id, try_number, self.report.task, in_doubt_for)

    def _check_shards(self) -> None:
        """Raise ShardsOutdated if shards have sent what is planned no more, and nobody asked to complete it."""
        is_open = self.journal.is_sent_by_shards and self.journal.stage is Stage.SENDING
        if is_open and not still_holds(self.journal, self.ledger.read()):
            raise ShardsOutdated.of(self.journal)

    def plan(self) -> Plan:
        """The plan of an earlier try where it still holds, otherwise a new one; the report has its numbers."""
        options, spool, report = self.options, self.spool, self.report
        LoadColumns(self.ledger, report).note(spool.columns)
        frozen = options.frozen(report.load_id, spool, self.journal.age, self.journal.stamp)
        if options.source_is == "snapshot" and spool.keyless:
            report.note(
                f"{how_many(spool.keyless, 'row has', 'rows have')} no key that could be told, so any key may be "
                "among them: nothing is taken "
                "for removed from the source, neither reported nor made to expire"
            )
        return plan_or_reuse(self.ledger, self.journal, frozen, report, options.guards, options.expected_plan)

    def _send(self, lease: Lease, plan: Plan) -> SliceSender | None:
        """Send and commit; returns who sent. Of what an earlier try has committed, only the account is made up."""
        is_committed, refused, is_any_accepted = self.journal.stage is Stage.COMMITTED, RefusedRows(), False
        sender = None
        if plan.to_send or plan.owed_to_send:
            if not is_committed:
                self._intend(lease, plan)
            parts = self.sent_rows(plan)
            sender, owed = self._sender(lease, parts), self._owed_sender(lease, plan, parts)
            self.report.accepted = self._outcomes(lease, sender, owed).accepted
            refused = RefusedRows(sender.refused_rows(), owed.refused_rows() if owed else {})
            is_any_accepted = bool(self.report.accepted or (owed and owed.outcomes.accepted))
        if is_any_accepted:
            self.report.batch_uuid = self.journal.batch_uuid
        if not is_committed:
            self._commit(lease, plan, refused)
        self.report.tell_owed(plan, len(refused.own), len(refused.owed))
        return sender

    def _intend(self, lease: Lease, plan: Plan) -> None:
        """Write down, before the first request, what is going to be sent."""
        if not self.journal.has_sent:  # from here on the rows, and the plan, stay what they are
            self.journal.begin_batch()
        write_intent(self.ledger, lease, plan)

    def sent_rows(self, plan: Plan) -> RowFiles:
        """The rows of the load that are sent."""
        return rows_of(self.journal.staging, plan, self.spool)

    def _sender(self, lease: Lease, parts: RowFiles) -> SliceSender:
        """Where few rows are sent and all of them may be bad, what is the same with all is not the request."""
        all_may_be_bad = parts.rows + self.spool.rejected <= self._allowed
        is_replay = self.options.all_may_be_bad
        probe = not (is_replay or (parts.rows < min(self.report.rows, FEW) and all_may_be_bad))
        puts = upload_puts(self.options.target, self.journal)
        return SliceSender(self.client, parts, self.journal, self.options.sending, puts, lease.check, probe=probe)

    def _owed_sender(self, lease: Lease, plan: Plan, parts: RowFiles) -> SliceSender | None:
        """What sends the rows that are owed, in slices that are numbered after those of the load's own rows."""
        if not (plan.owed and plan.owed.rows):
            return None
        owed = one_file(self.journal.staging, plan.owed.sent, plan.owed.rows, first=parts.slices)
        puts = upload_puts(self.options.target, self.journal)
        return SliceSender(self.client, owed, self.journal, self.options.sending, puts, lease.check, owed=True)

    def _outcomes(self, lease: Lease, sender: SliceSender, owed: SliceSender | None) -> SliceOutcomes:
        """Send the batch, and keep what was refused: that may be all of the few rows that had to be sent."""
        try:
            send_batch(sender, self.options.target, self.report, owed)
        except NothingAccepted as error:
            with keeping(error, "to write the rejected rows"):
                self._keep_rejected(sender)
            may_all_be_refused = self.options.all_may_be_bad or self.options.resend_rejected
            nothing_else = self.report.rejected == self.report.rows and not may_all_be_refused
            if sender.parts.rows and (nothing_else or self.report.rejected > self._allowed):
                withdraw_intent(self.ledger, lease, self.journal)
                raise
            self.journal.completed(nothing_taken=True)
        except OptimoveProviderError as error:
            with keeping(error, "to withdraw the intent"):
                withdraw_intent(self.ledger, lease, self.journal)
            raise
        self._keep_rejected(sender)
        return sender.outcomes

    def _keep_rejected(self, sender: SliceSender) -> None:
        keep_rejected(self.journal, self.spool, sender.outcomes, self.report, sender.parts)

    @property
    def _allowed(self) -> float:
        """How many rows may be rejected."""
        return allowed_of(self.options.max_rejected, self.report.rows)

    def _commit(self, lease: Lease, plan: Plan, refused: RefusedRows) -> None:
        if plan.to_send or not plan.below_watermark:
            committed_at, sent_before = self.ledger.now, self.journal.has_sent_before
            commit = plan.as_commit(committed_at)
            adds = plan.load.owed.adds
            owed = settle(self.ledger, plan.owed, adds, commit, refused, sent_before) if plan.owed else None
            manifest = self.ledger.commit(lease, commit, refused.own, sent_before, owed)
            self.report.ledger_version = manifest.version
            LoadColumns(self.ledger, self.report).committed(self.spool.columns)
        self.journal.committed()

    def _expire(self, lease: Lease, plan: Plan) -> list[RefusedRow]:
        """Send what the snapshot lacks, or the delta deletes, once more, to be gone a second later, in a batch of its
        own; returns what was refused."""
        journal = Journal(self.journal.staging, self.journal.load_id, "expire")
        if journal.is_completed and self.report.load_id not in self.ledger.read().intents:
            return self._tell_expired(journal)  # an earlier try has entered it, or another load has, as unknown
        expiry, refused = begin_expiry(self.ledger, lease, plan, journal.folder), list[RefusedRow]()
        if expiry.rows:
            if journal.plan != expiry.as_json():  # what an earlier try has sent were other rows
                journal.planned(expiry.as_json())
            parts = self._rows_in(expiry.sent, expiry.rows)
            target, probe = self.options.target.with_ttl(TTL_SECONDS), expiry.rows >= FEW
            puts = upload_puts(target, journal)
            sender = SliceSender(self.client, parts, journal, self.options.sending, puts, lease.check, probe=probe)
            try:
                send_batch(sender, target, self.report)
            except NothingAccepted:
                journal.completed(nothing_taken=True)  # there is nothing left to send; the records stay as they are
            refused = self._tell_expired(journal)
        found = Refusals([row for row, _, _ in refused], journal.has_sent_before)
        commit_expiry(self.ledger, lease, expiry, found)
        return refused

    def _tell_expired(self, journal: Journal) -> list[RefusedRow]:
        report, plan = self.report, journal.plan
        outcomes = SliceOutcomes(journal.outcomes())
        report.expired, report.not_expired = plan["rows"] - outcomes.rejected, outcomes.rejected
        refused = list(outcomes.refused(journal.staging, self._rows_in(plan["sent"], plan["rows"])))
        report.expiry_examples = [
            f"key {self._key_of(record)!r}: {one.reason[:200]}" for _, record, one in refused[:EXAMPLES]
        ]
        return refused

    def _key_of(self, record: str) -> Any:
        return json.loads(record)[self.options.target.primary_key]

    def _tell_deleted(self, plan: Plan, sender: SliceSender | None, refused: Sequence[RefusedRow]) -> None:
        """Deletions are rows of the load. Those of which another load has written the key since are stale."""
        report, removed, absent = self.report, plan.counts["removed"], plan.counts["absent"]
        report.deleted, report.not_expired = report.expired + absent, 0
        report.stale += removed - report.expired - len(refused)
        if refused:
            column, key = self.options.deleted_column, self.options.target.primary_key
            others = [(row, json.dumps({key: self._key_of(was), column: True}), one) for row, was, one in refused]
            outcomes, parts = (sender.outcomes, sender.parts) if sender else (SliceOutcomes(), self.spool.parts)
            keep_rejected(self.journal, self.spool, outcomes, report, parts, others=others)
        if absent:
            rows = how_many(absent, "deletion has a key", "deletions have keys")
            report.note(
                f"{rows} that the ledger does not have: nothing was sent for them. If another writer brought them, or "
                "the ledger was lost, make them expire by their keys"
            )

    def _rows_in(self, folder: str, rows: int) -> RowFiles:
        return one_file(self.journal.staging, folder, rows)
