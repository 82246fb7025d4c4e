"""Slices under way: a few requests at a time, each slice remembered once it is settled, and a line of progress."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.wire.messages import Flow, T
from optimove_provider.loads.optix.bisect import BisectBudget, Put, send_or_bisect
from optimove_provider.loads.optix.options import Sending
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes
from optimove_provider.loads.progress import Progress
from optimove_provider.loads.spool.slices import RowFiles, Slice
from optimove_provider.loads.state.journal import Journal, Rejection, SliceOutcome

log = logging.getLogger(__name__)


class SliceSender:
    """Sends slices of one load. `may_send` is asked before each request, and raises where that right was lost."""

    def __init__(
        self,
        client: OptixClient,
        parts: RowFiles,
        journal: Journal,
        manner: Sending,
        may_send: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.client, self.parts, self.journal, self.manner = client, parts, journal, manner
        self.may_send, self.now = may_send, now
        self.hunt = BisectBudget(manner.max_bisect_requests, client.settings.requests_per_10s)
        self.totals = SliceOutcomes()
        self._progress, self._before = Progress(), 0

    def begin(self, settled: dict[int, SliceOutcome]) -> None:
        """Begin, or go on from what an earlier try has settled."""
        self.totals.settled = settled
        self.hunt.accepted = self.hunt.accepted or self.totals.accepted > 0
        self._before = self._done
        resumed = f"; {self._before} rows were settled by an earlier try" if self._before else ""
        log.info("sending %d rows in %d slices%s", self.parts.rows, self.parts.slices, resumed)

    def send(self, numbers: Iterable[int], put_of: Callable[[Slice], Put]) -> None:
        """Send these slices unless they are settled. The order cannot matter: keys are unique in a load."""
        left = (number for number in numbers if number not in self.totals.settled)
        waiting: set[Future[None]] = set()
        with ThreadPoolExecutor(self.manner.max_in_flight, "optix-send") as pool:
            try:
                for slice_ in self.parts.read(self.journal.staging, left):
                    waiting.add(pool.submit(self._send_slice, slice_, put_of(slice_)))
                    if len(waiting) >= self.manner.max_in_flight:
                        waiting = self._gather(waiting)
                while waiting:
                    waiting = self._gather(waiting)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _gather(self, waiting: set[Future[None]]) -> set[Future[None]]:
        done, left = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        self._tell()
        return left

    def _send_slice(self, slice_: Slice, put: Put) -> None:
        self.settle(slice_, self.run(send_or_bisect(len(slice_), put, self.hunt)))

    def run(self, flow: Flow[T]) -> T:
        """Run a flow for as long as there is the right to send."""
        return self.client.run(flow, self.may_send)

    def settle(self, slice_: Slice, rejected: Sequence[Rejection]) -> None:
        """Remember what became of a slice."""
        settled = SliceOutcome(len(slice_) - len(rejected), tuple(rejected))
        self.journal.record(slice_.number, settled)
        self.totals.settled[slice_.number] = settled

    def refused_rows(self) -> Iterator[int]:
        """The numbers of the rows that the server refused."""
        return (row for row, _, _ in self.totals.refused(self.journal.staging, self.parts))

    @property
    def _done(self) -> int:
        return self.totals.accepted + self.totals.rejected

    def _tell(self) -> None:
        if not self._progress.due():
            return
        done, rows = self._done, self.parts.rows
        pace = (done - self._before) / self._progress.seconds
        end = ""
        if pace:
            left = timedelta(seconds=round((rows - done) / pace))
            end = f", done in about {left}, at {self.now() + left:%H:%M:%S} UTC"
        said = "%d of %d rows (%.0f %%), %.0f rows/s, %d rejected%s"
        log.info(said, done, rows, 100 * done / rows, pace, self.totals.rejected, end)
