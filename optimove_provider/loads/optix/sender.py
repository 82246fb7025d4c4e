"""Sending slices: each goes up whole, or without the rows that the server refuses, and the journal remembers it."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from math import inf

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.wire.errors import Refused
from optimove_provider.contract.wire.messages import Flow, T
from optimove_provider.loads.optix.bisect import BisectBudget, Put, bisect_refused, send_or_bisect
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes
from optimove_provider.loads.optix.slice_pool import SlicePool
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.spool.slices import RowFiles, Slice
from optimove_provider.loads.state.bisect_log import BisectLog
from optimove_provider.loads.state.journal import Journal, Rejection, SliceOutcome
from optimove_provider.options import Sending

log = logging.getLogger(__name__)

MakePut = Callable[[Slice], Put]
"""What sends rows of a slice in one request that completes nothing."""


class SliceSender:
    """Sends slices of one load with requests that `put_of` makes.

    `may_send` is asked before each request, and raises where that right was lost. Unless `probe`, a refusal is about
    rows, since so few are sent that all of them may be bad. So it is of `owed` rows, each of which was refused before:
    the plan bounds what it costs to find them, and the load's own rows have all of `max_bisect_requests`.
    """

    def __init__(
        self,
        client: OptixClient,
        parts: RowFiles,
        journal: Journal,
        sending: Sending,
        put_of: MakePut,
        may_send: Callable[[], None] = lambda: None,
        *,
        probe: bool = True,
        owed: bool = False,
    ) -> None:
        self._client, self.parts, self.journal, self.sending = client, parts, journal, sending
        self.put_of, self.may_send = put_of, may_send
        most = inf if owed else sending.max_bisect_requests
        self.budget = BisectBudget(most, client.settings.requests_per_10s, probe and not owed)
        self._what, self._part = ("owed row", "-owed") if owed else ("row", "")
        self.outcomes, self._log = SliceOutcomes(), BisectLog(journal, self._part, parts.numbers)
        self._surroundings = journal.staging.surroundings
        self._progress, self._before = Progress(self._surroundings.monotonic), 0

    def begin(self, outcomes: Mapping[int, SliceOutcome]) -> None:
        """Begin, or go on from what became of slices in an earlier try."""
        self.knows(outcomes)
        self._log = BisectLog(self.journal, self._part, self.parts.numbers)
        self.budget.requests = max(self.budget.requests, self._log.requests)
        self.budget.accepted = self.budget.accepted or self.outcomes.accepted > 0
        self._before = self.outcomes.rows
        resumed = (
            f"; what became of {how_many(self._before, 'row')} is known from an earlier try" if self._before else ""
        )
        rows, slices = how_many(self.parts.rows_of_some, self._what), how_many(len(self.parts.numbers), "slice")
        log.info("sending %s in %s%s", rows, slices, resumed)

    def knows(self, outcomes: Mapping[int, SliceOutcome]) -> None:
        """Take over what became of its slices; those of other rows of the batch are left out."""
        self.outcomes = SliceOutcomes({number: one for number, one in outcomes.items() if number in self.parts.numbers})

    @property
    def last_bisected(self) -> str:
        """When an earlier try, taking slices of this batch apart, got its last answer: an ISO text, or empty."""
        return self._log.last

    def send(self, numbers: Iterable[int]) -> None:
        """Send these slices, but those whose outcome is known."""
        left = (number for number in numbers if number not in self.outcomes.by_slice)
        pool = SlicePool(self.sending.max_in_flight, self._surroundings, self._send)
        pool.run(self.parts.read(self.journal.staging, left), self._tell_progress)

    def knows_part_of(self, number: int) -> bool:
        """Whether an earlier try began to take this slice apart."""
        return bool(self._log.known(number))

    def slice_of(self, number: int) -> Slice:
        """One of its slices."""
        return next(self.parts.read(self.journal.staging, [number]))

    def row_taken(self, number: int, outcome: SliceOutcome | None) -> int | None:
        """The position of a row that the server took of a slice, by its outcome, or else by what is known of single
        requests; None if it is not known to have taken any."""
        if outcome is None:
            return next((one.rows[0] for one in self._log.known(number) if not one.status), None)
        refused = {one.position for one in outcome.rejected}
        every = (row for row in range(outcome.accepted + len(refused)) if row not in refused)
        return next((row for row in every if (number, row) != self.journal.held_back), None)

    def _send(self, slice_: Slice) -> None:
        known, keep = self._log.known(slice_.number), partial(self._log.add, slice_.number)
        rows = self._not_held_back(slice_)
        rejected = self.run(send_or_bisect(rows, self.put_of(slice_), self.budget, known, keep)) if rows else []
        self.record(slice_, rejected)

    def _not_held_back(self, slice_: Slice) -> Sequence[int]:
        """The positions of a slice's rows, but that of the one which completes the batch."""
        rows, held_back = range(len(slice_)), self.journal.held_back
        if held_back is None or held_back[0] != slice_.number:
            return rows
        return [row for row in rows if row != held_back[1]]

    def bisect(self, slice_: Slice, refusal: Refused) -> None:
        """Go on with a slice that was refused as a whole: its good rows land, in requests that complete nothing."""
        keep = partial(self._log.add, slice_.number)
        rows = range(len(slice_))
        self.record(slice_, self.run(bisect_refused(rows, refusal, self.put_of(slice_), self.budget, keep)))

    def run(self, flow: Flow[T]) -> T:
        """Run a flow for as long as there is the right to send."""
        return self._client.run(flow, self.may_send, self.sending.patience)

    def record(self, slice_: Slice, rejected: Sequence[Rejection]) -> None:
        """Remember what became of a slice."""
        outcome = SliceOutcome(len(slice_) - len(rejected), tuple(rejected))
        self.journal.record(slice_.number, outcome)
        self.outcomes.by_slice[slice_.number] = outcome

    def refused_rows(self) -> dict[int, Rejection]:
        """What the server said of the rows that it refused, by their numbers."""
        return {row: one for row, _, one in self.outcomes.refused(self.journal.staging, self.parts)}

    def _tell_progress(self) -> None:
        if not self._progress.due():
            return
        done, rows = self.outcomes.rows, self.parts.rows_of_some
        pace = (done - self._before) / self._progress.seconds
        end = ""
        if pace:
            left = timedelta(seconds=round((rows - done) / pace))
            end = f", done in about {left}, at {self._surroundings.now() + left:%H:%M:%S} UTC"
        said = "%d of %d rows (%.0f %%), %.0f rows/s, %d rejected%s"
        log.info(said, done, rows, 100 * done / rows, pace, self.outcomes.rejected, end)
