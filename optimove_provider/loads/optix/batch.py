"""One batch of Opti-X: all slices but the last in any order, then the one that completes it.

Rows that are owed to the target travel in slices of their own, before the last one: each was refused before, so none of
them completes the batch, unless the server has just taken it and no row of the load itself.

Nothing of a batch is visible before it is completed. One direction: `send_batch` -> `SliceSender` -> `SlicePool` and
`bisect` -> the client.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import chain, islice

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.optix.data_connections import Records, upload_data
from optimove_provider.contract.wire.errors import ApiError, DataError, OptimoveProviderError, Refused
from optimove_provider.contract.wire.messages import Flow
from optimove_provider.loads.optix.bisect import BAD_ROWS, TOO_LARGE, Put
from optimove_provider.loads.optix.options import OptixTarget
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes
from optimove_provider.loads.optix.sender import MakePut, SliceSender
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.slices import Slice
from optimove_provider.loads.state.journal import Journal, SliceOutcome, Stage
from optimove_provider.records.to_json.encode import slice_text

log = logging.getLogger(__name__)


class NothingAccepted(DataError):
    """The server refused every row, one by one: the batch stays open, as there is no row to complete it with."""

    then = NextStep.MEND_ROWS


class BatchInDoubt(Exception):
    """A request was refused that may have been carried out before, or a row that had been taken: its rows may be in the
    batch, or the batch completed, and some servers take nothing twice.

    In the next batch, the row `held_back` comes last, and once.
    """

    def __init__(self, told: str, held_back: tuple[int, int] | None = None) -> None:
        super().__init__(told)
        self.held_back = held_back


class DoubtfulPuts:
    """Sends rows of slices, some of which, `perhaps_sent`, an earlier try had under way when it ended.

    A refusal of what was perhaps sent before tells nothing about rows: of one of them alone, or of the slice as a
    whole, which saves looking for it. Unless the server takes a row twice, as it shows by one that it had
    `taken_before`: a slice, and a position in it.
    """

    def __init__(
        self, put_of: MakePut, perhaps_sent: Iterable[int] = (), taken_before: tuple[Slice, int] | None = None
    ) -> None:
        self._put_of, self._perhaps_sent, self._taken_before = put_of, set(perhaps_sent), taken_before

    def __call__(self, slice_: Slice) -> Put:
        """What sends rows of a slice; it raises BatchInDoubt for a refusal that tells nothing about them."""
        put = self._put_of(slice_)

        def tried(rows: Sequence[int]) -> Flow[None]:
            try:
                yield from put(rows)
            except Refused as refusal:
                is_again = slice_.number in self._perhaps_sent and len(rows) in (1, len(slice_))
                is_doubtful = refusal.status in BAD_ROWS and (refusal.repeated or is_again)
                if is_doubtful and not (yield from self._takes_twice()):
                    raise BatchInDoubt(
                        f"a request that may have been carried out before was refused: {refusal}"
                    ) from None
                raise

        return tried

    def _takes_twice(self) -> Flow[bool]:
        """Whether the server takes a row twice in this batch: then it refuses none for having come before. False where
        none is known that it had taken."""
        if self._taken_before is None:
            return False
        slice_, row = self._taken_before
        try:
            yield from self._put_of(slice_)([row])
        except Refused:
            return False
        self._perhaps_sent = set()
        return True


def row_taken_before(senders: Sequence[SliceSender], outcomes: Mapping[int, SliceOutcome]) -> tuple[Slice, int] | None:
    """A row that the server took in this batch, by what an earlier try has written down."""
    for one in senders:
        for number in one.parts.numbers:
            if (row := one.row_taken(number, outcomes.get(number))) is not None:
                return one.slice_of(number), row
    return None


def upload_puts(target: OptixTarget, journal: Journal, completing: bool = False) -> MakePut:
    """What sends rows of a slice under the journal's present batch, and completes that batch or leaves it open."""

    def put_of(slice_: Slice) -> Put:
        def put(rows: Sequence[int]) -> Flow[None]:
            return upload_data(
                target.data_connection_uuid,
                Records(len(rows), slice_text(slice_.some(rows))),
                batch_uuid=journal.batch_uuid,
                batch_completed=completing,
                ttl_seconds=target.ttl_seconds,
            )

        return put

    return put_of


def send_batch(
    sender: SliceSender, target: OptixTarget, report: Report, owed: SliceSender | None = None
) -> SliceOutcomes:
    """Send everything and complete the batch. Raises the errors of `contract.wire.errors`; nothing is visible then.

    `owed` sends the owed rows, and has what became of them; what is returned is of the load's own.

    Where nobody can know what became of a batch, everything goes once more as another one. An error says how much of it
    had been answered with success.
    """
    try:
        outcomes = _Batch(sender, target, owed).send(report)
    except OptimoveProviderError as error:
        rows = how_many(sender.parts.rows, "row")
        ended = "may have been completed" if sender.journal.completing_may_be_done else "was never completed"
        error.args = (
            f"{error}. {sender.outcomes.accepted} of {rows} had been answered with success under batch "
            f"{sender.journal.batch_uuid}, which {ended}: they count as unsent",
        )
        raise
    finally:
        report.batch_uuid = report.batch_uuid or sender.journal.batch_uuid
    if spent := sender.budget.requests + (owed.budget.requests if owed else 0):
        report.note(f"{how_many(spent, 'request was', 'requests were')} spent on finding refused rows")
    return outcomes


class _Batch:
    """`sender` has the load's own slices, of which the last one completes the batch; there may be none."""

    def __init__(self, sender: SliceSender, target: OptixTarget, owed: SliceSender | None) -> None:
        self._sender, self._journal = sender, sender.journal
        self._senders = [sender, owed] if owed else [sender]
        self._put_of = sender.put_of
        self._completing = upload_puts(target, sender.journal, completing=True)
        own = sender.parts.numbers
        self._last = own[-1] if own else None
        self._before_last = [(sender, own[:-1]), *((one, one.parts.numbers) for one in self._senders[1:])]

    def send(self, report: Report) -> SliceOutcomes:
        sender, journal = self._sender, self._journal
        outcomes = self._resume_or_begin(report)
        for one in self._senders:
            one.knows(outcomes)
        while not journal.is_completed:
            log.info("batch %s", journal.batch_uuid)
            for one in self._senders:
                one.begin(outcomes)
            try:
                for one, numbers in self._before_last:
                    one.send(numbers)
                self._complete()
            except BatchInDoubt as doubt:
                log.warning("%s. Everything goes once more, as a batch of its own that replaces each row", doubt)
                journal.begin_batch(doubt.held_back or journal.held_back)
                outcomes = {}
                self._put_by(DoubtfulPuts(self._put_of))
        settled = sender.outcomes.by_slice
        if self._last is not None and self._last not in settled:  # an earlier try died between completing and saying so
            settled[self._last] = SliceOutcome(sender.parts.last_rows)
        return sender.outcomes

    def _put_by(self, puts: DoubtfulPuts) -> None:
        for one in self._senders:
            one.put_of = puts

    def _resume_or_begin(self, report: Report) -> dict[int, SliceOutcome]:
        """What is known of an earlier try's batch that is gone on with; the report says what that relies on."""
        sender, journal = self._sender, self._journal
        before, was_completed = journal.batch, journal.is_completed
        last_bisected = max(one.last_bisected for one in self._senders)
        outcomes = journal.resume_or_begin_batch(sender.sending.resume_span, last_bisected)
        taken = sum(outcome.accepted for outcome in outcomes.values())
        perhaps_sent, taken_before = set[int](), None
        if not journal.has_begun_batch and not was_completed:  # what an earlier try had under way when it died
            numbers = chain.from_iterable(numbers for _, numbers in self._before_last)
            unknown = (number for number in numbers if number not in outcomes)
            most = None if journal.is_sent_by_shards else sender.sending.max_in_flight
            perhaps_sent = set(islice(unknown, most))
            if self._last is not None and sender.knows_part_of(self._last):
                perhaps_sent.add(self._last)
            taken_before = row_taken_before(self._senders, outcomes)
        self._put_by(DoubtfulPuts(self._put_of, perhaps_sent, taken_before))
        if before == journal.batch and taken and not was_completed and not journal.is_sent_by_shards:
            silence = timedelta(seconds=round(journal.silent_for(outcomes, last_bisected).total_seconds()))
            rows = how_many(taken, "row")
            said = (
                f"batch {journal.batch_uuid} of an earlier try is gone on with: Opti-X has acknowledged {rows} "
                f"of it, the last ones {silence} ago, and is relied on to have them still. It does not say how long it "
                "keeps an open batch: Sending(resume_within=0) sends everything again instead"
            )
            log.info("%s", said)
            report.note(said)
        return outcomes

    def _complete(self) -> None:
        """Complete the batch with its last slice; or, where rows of that are refused, with one row that was taken, or
        was held back for that."""
        repeated = self._journal.stage is Stage.CLOSING
        if self._last is not None and self._journal.held_back:
            self._sender.send([self._last])
        elif self._last is not None:
            self._complete_with_last(self._last, repeated)
        if not self._journal.is_completed:
            slice_, row = self._accepted_row()
            self._complete_with(slice_, [row], repeated)

    def _complete_with_last(self, last: int, repeated: bool) -> None:
        if not repeated and self._sender.knows_part_of(last):  # an earlier try found rows of it to be refused
            self._sender.send([last])
        if last not in self._sender.outcomes.by_slice:
            slice_ = self._sender.slice_of(last)
            self._complete_with(slice_, range(len(slice_)), repeated)

    def _complete_with(self, slice_: Slice, rows: Sequence[int], repeated: bool) -> None:
        """Complete the batch with these rows. Where those of the last slice are refused, it is sent without that."""
        sender, journal = self._sender, self._journal
        is_open = slice_.number == self._last and slice_.number not in sender.outcomes.by_slice
        sender.may_send()
        if not repeated:
            journal.intend_to_complete()
        try:
            sender.run(self._completing(slice_)(rows))
        except ApiError as error:
            self._remember_not_completed(error, repeated)
            if not (isinstance(error, Refused) and error.status in (*BAD_ROWS, TOO_LARGE)):
                raise
            if is_open:
                sender.bisect(slice_, error)
            elif journal.held_back:
                raise
            else:
                raise BatchInDoubt(
                    f"a row that had been taken was refused when it came again to complete the batch: {error}",
                    held_back=(slice_.number, rows[0]),
                ) from None
        else:
            journal.completed()
            if is_open:
                sender.record(slice_, ())

    def _remember_not_completed(self, error: ApiError, repeated: bool) -> None:
        """Where the batch is surely open still, say so: whatever the request was refused for, a key that expired, too.

        Raises BatchInDoubt for a request that may have been carried out before.
        """
        is_refused = isinstance(error, Refused)
        if is_refused and (repeated or error.repeated):
            raise BatchInDoubt(f"the repeated request to complete the batch was refused: {error}") from None
        if is_refused or (error.certainly_not_done and not repeated):
            self._journal.completing_refused()

    def _accepted_row(self) -> tuple[Slice, int]:
        """A row that was held back; or one that the server took, to complete the batch with: sent again, byte for byte.
        One of the load's own, if it took any of them."""
        if held_back := self._journal.held_back:
            number, row = held_back
            owner = next(one for one in self._senders if number in one.parts.numbers)
            return owner.slice_of(number), row
        for sender in self._senders:
            for number, outcome in sorted(sender.outcomes.by_slice.items(), reverse=True):
                if (taken := sender.row_taken(number, outcome)) is not None:
                    return sender.slice_of(number), taken
        raise NothingAccepted(
            "the server refused every row, so there is none to complete the batch with: it stays open, and nothing "
            "became visible. Look at the reasons, mend the source, or the task, and clear it"
        )
