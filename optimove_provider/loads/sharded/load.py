"""The three parts of a load that several workers send.

plan_shards     freezes the rows, compares, judges, and writes down what will be sent; the lease is the load's
  |
send_shard      once for each shard, side by side: sends its slices but for the last of all, completes nothing
  |
load.load       of `loads.optix`: sends what is left, completes the batch, and commits, as a retry would
  |
give_up         at the end, whatever happened: what was never completed is withdrawn, and the lease given back
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError, SettingsError
from optimove_provider.disk.room import at_the_end, keeping
from optimove_provider.loads.ledger.lease import Lease
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.loads.ledger.manifest import CommitConflict
from optimove_provider.loads.optix.batch import BatchInDoubt, DoubtfulPuts, row_taken_before, upload_puts
from optimove_provider.loads.optix.bisect import BisectTooLong
from optimove_provider.loads.optix.load import begin_in_shards
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.optix.sender import SliceSender
from optimove_provider.loads.optix.transaction import ShardsOutdated, rows_of, withdraw_intent, write_intent
from optimove_provider.loads.plan.plan import Plan
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import Visibility
from optimove_provider.loads.sharded.reservation import Reservation, holder_for, is_reserved_for, reserve_again
from optimove_provider.loads.sharded.shard import SHORTEST, Shard, Sharding, cut
from optimove_provider.loads.sharded.source_parts import Settled
from optimove_provider.loads.spool.freeze import Spool
from optimove_provider.loads.spool.frozen_parts import RowSource
from optimove_provider.loads.spool.slices import RowFiles
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.state.shard_tries import ShardTry, requests_of_shards, shards_in_doubt_for
from optimove_provider.loads.state.staging import Staging
from optimove_provider.options import Sending

log = logging.getLogger(__name__)


class ShardOfAnotherPlan(OptimoveProviderError):
    """The load has been planned, or begun, anew since the shard was cut."""

    then = NextStep.CLEAR_GROUP


class ShardTooLate(OptimoveProviderError):
    """The task that commits has gone on without the shard."""

    then = NextStep.CLEAR_COMMIT


def settle(client: OptixClient, staging: Staging, options: UploadOptions) -> Settled:
    """What those who read and freeze a source in parts have to do alike. Rows that are read from now on, as the ledger
    knows it, are newer than what stands there."""
    ledger = _ledger_if_any(client, staging, options.target)
    if ledger is None:
        return Settled(staging.surroundings.now(), options.encoding, options.stamp)
    known = ledger.read()
    return Settled(ledger.after(known), options.encoding, options.stamp, known.key_digest.seed)


def plan_shards(
    client: OptixClient,
    source: RowSource,
    staging: Staging,
    report: Report,
    options: UploadOptions,
    sharding: Sharding,
    try_number: int = 1,
    resumed: bool = False,
) -> list[Shard]:
    """Plan a load, and cut what it sends into shards; none where one slice, or nothing, has to be sent: then the commit
    does all. Raises as `loads.optix.load.load`."""
    if options.sending.resume_span < SHORTEST:
        raise SettingsError(
            f"sending.resume_within={options.sending.resume_span}: expected {SHORTEST} or more, as what commits goes "
            "on with a batch that others have sent before"
        )
    reserved_for = sharding.reserved_for
    journal, parts = begin_in_shards(client, source, staging, report, options, reserved_for, try_number, resumed)
    if parts is None:
        return []
    slices = parts.numbers[:-1]  # the last one completes the batch
    found = cut(journal.load_id, journal.batch, journal.rows_digest, slices, sharding.count(len(slices)))
    rows, told = how_many(parts.rows, "row"), how_many(len(found), "shard")
    log.info("%s in %s: %s and the last slice, which completes the batch", rows, how_many(parts.slices, "slice"), told)
    return found


def send_shard(
    client: OptixClient,
    staging: Staging,
    target: OptixTarget,
    shard: Shard,
    sending: Sending,
    reserved_for: timedelta,
    try_number: int = 1,
    task: str = "",
) -> dict[str, Any]:
    """Send the slices of a shard that have no outcome yet, and complete nothing; returns counts of its rows.

    Where the batch is completed already, nothing is done. Raises ShardOfAnotherPlan, ShardTooLate, ShardsOutdated,
    TargetBusy, LeaseLost, and what sending raises.
    """
    journal = Journal(staging, shard.load_id)
    if not _is_over(journal):
        _check(journal, shard)
        ledger = _ledger(client, staging, target)
        if not _is_held(ledger, journal):
            journal = _hold(ledger, shard, try_number, journal.sharded_by or task, reserved_for)
    if _is_over(journal):
        log.info("%s: the batch of load %s is completed; there is nothing to do", shard, shard.load_id)
        return {**shard.as_json(), "state": "completed before"}
    parts = rows_of(staging, *_planned(journal))
    reservation = Reservation(ledger.manifest_file, journal.load_id, reserved_for)
    sender = _sender(client, journal, parts, target, shard, sending, reservation)
    outcomes = journal.outcomes(shard.numbers)
    unknown = [number for number in shard.numbers if number not in outcomes]
    sender.begin(outcomes)
    # Any try before this one may have had some of them under way; so may one of which nobody knows that it lives.
    perhaps_sent = unknown if try_number > 1 or outcomes else []
    sender.put_of = DoubtfulPuts(sender.put_of, perhaps_sent, row_taken_before([sender], outcomes))
    with _one_try(client, journal, shard, try_number):
        try:
            sender.send(shard.numbers)
        except BatchInDoubt as doubt:
            log.warning("%s: %s. The rest of it is left to the task that commits", shard, doubt)
        except BisectTooLong as error:
            error.args = (
                f"{shard} of load {shard.load_id}: {error}. That is this shard's share of max_bisect_requests="
                f"{sending.max_bisect_requests}: where it was raised, clear this task with all that comes after it "
                "(Downstream), which goes on from here",
            )
            raise
    found = sender.outcomes
    log.info("%s: %d rows accepted, %d rejected; %d requests for refused rows", shard, found.accepted, found.rejected,
             sender.budget.requests)  # fmt: skip
    return {**shard.as_json(), "state": "sent", "accepted": found.accepted, "rejected": found.rejected}


def is_left(client: OptixClient, staging: Staging, target: OptixTarget, load_id: str) -> bool:
    """Whether the lease is still reserved for a load, which nobody has committed then. Where no ledger can be, none was
    planned."""
    ledger = _ledger_if_any(client, staging, target)
    return ledger is not None and holder_for(ledger.manifest_file, load_id) is not None


def give_up(client: OptixClient, staging: Staging, target: OptixTarget, report: Report) -> bool:
    """Withdraw what was never to be completed, and give the lease back that is reserved for the load; the report, of a
    load that failed, is filed. A shard that is cleared takes the load up again, unless another one came in between.

    Returns False, and does nothing, where somebody has the lease: another load, or what commits this one.
    """
    ledger, journal = _ledger(client, staging, target), Journal(staging, report.load_id)
    holder = holder_for(ledger.manifest_file, report.load_id)
    if holder is None:
        return False
    lease = Lease(ledger.manifest_file, holder, lambda: shards_in_doubt_for(journal))
    if journal.plan:
        withdraw_intent(ledger, lease, journal)
    lease.release()
    if journal.plan:
        plan, spool = _planned(journal)
        report.tell_plan(plan)
        report.rows, report.rejected = spool.rows, spool.rejected
        report.generation = journal.age.generation.isoformat()
    sent = sum(one.accepted for one in journal.outcomes().values())
    client.timeline.go_on_from(requests_of_shards(journal))
    report.requests = client.timeline.counts
    report.state, report.visibility = "failed", Visibility.NOT_VISIBLE
    report.batch_uuid = journal.batch_uuid if journal.batch else ""
    report.problem = (
        f"a task before the one that commits has failed for good, so batch {journal.batch_uuid} was never completed. "
        f"{how_many(sent, 'row')} had been answered with success under it: they count as unsent"
    )
    report.next_step = NextStep.CLEAR_FAILED
    log.error("load %s: %s. %s", report.load_id, report.problem, report.next_step)
    report.file(staging)
    return True


def _ledger_if_any(client: OptixClient, staging: Staging, target: OptixTarget) -> Ledger | None:
    settings, uuid = client.settings, target.data_connection_uuid
    return ledger_of(staging, "optix", settings.host, uuid, settings.target_alias, target.key_type)


def _ledger(client: OptixClient, staging: Staging, target: OptixTarget) -> Ledger:
    ledger = _ledger_if_any(client, staging, target)
    if ledger is None:
        raise AssertionError("a load without a ledger has no shards")
    return ledger


def _is_over(journal: Journal) -> bool:
    return bool(journal.result) or journal.is_completed


def _check(journal: Journal, shard: Shard) -> None:
    """Raise unless the load waits for this very shard."""
    if journal.stage is Stage.CLOSING or journal.batch > shard.batch:
        raise ShardTooLate(
            f"{shard} of load {shard.load_id}: the task that commits has gone on without it, and may have completed "
            "the batch, or begun another one: clear that task instead, as to send more would do harm"
        )
    if journal.stage is not Stage.SENDING or (journal.batch, journal.rows_digest) != (shard.batch, shard.rows_digest):
        raise ShardOfAnotherPlan(
            f"{shard} of load {shard.load_id}: its rows are not those which that load sends now (stage "
            f"{journal.stage}); nothing was sent from here. Clear the whole group"
        )


def _planned(journal: Journal) -> tuple[Plan, Spool]:
    plan, found = Plan.from_json(dict(journal.plan)), journal.rows(resumed=True)
    if found is None:
        raise AssertionError(f"load {journal.load_id} sends rows that nobody has frozen")
    return plan, Spool.from_json(found)


def _is_held(ledger: Ledger, journal: Journal) -> bool:
    """Whether the lease is reserved for the load, and its intent written. Raises TargetBusy."""
    manifest = ledger.read()
    is_reserved = is_reserved_for(manifest, journal.load_id, ledger.staging.surroundings.now())
    return is_reserved and journal.load_id in manifest.intents


def _hold(ledger: Ledger, shard: Shard, try_number: int, task: str, reserved_for: timedelta) -> Journal:
    """Reserve the lease for the load once more, as it was given up, and write its intent, if nobody has written since
    it was planned; returns the journal as it is then: whoever had the lease until now may have gone on, or rebased the
    plan. In the name of the task that plans: where that is cleared, a new load revokes it.

    Raises ShardsOutdated, TargetBusy, and what `_check` raises.
    """
    lease = reserve_again(ledger.manifest_file, shard.load_id, try_number, task, reserved_for)
    try:
        journal = Journal(ledger.staging, shard.load_id)
        if _is_over(journal):
            lease.release()
            return journal
        _check(journal, shard)
        plan, _ = _planned(journal)
        try:
            write_intent(ledger, lease, plan)
        except CommitConflict:
            raise ShardsOutdated.of(journal) from None
    except OptimoveProviderError as error:
        with keeping(error, "to give the lease back"):
            lease.release()
        raise
    return journal


def _sender(
    client: OptixClient,
    journal: Journal,
    parts: RowFiles,
    target: OptixTarget,
    shard: Shard,
    sending: Sending,
    reservation: Reservation,
) -> SliceSender:
    """Each shard may spend its share of the requests for finding refused rows."""
    share = -(-sending.max_bisect_requests * len(shard.numbers) // max(parts.slices, 1))
    sender = SliceSender(
        client,
        parts.some(shard.numbers),
        journal,
        replace(sending, max_bisect_requests=share),
        upload_puts(target, journal),
        reservation.check,
    )
    sender.budget.accepted_elsewhere = journal.has_accepted
    return sender


@contextmanager
def _one_try(client: OptixClient, journal: Journal, shard: Shard, try_number: int) -> Iterator[None]:
    """Around the requests of a try: whoever ends the load learns what may still be under way of it."""
    one = ShardTry(journal, shard.number, try_number)

    def end() -> None:
        one.end(client.in_doubt_for(), client.timeline.counts)

    one.begin()
    with at_the_end("to write down that this try has ended", end):
        yield
