"""Sending a load to Opti-X as one batch: all slices but the last in any order, then the one that completes it."""

import logging
from collections.abc import Sequence

from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.optix.data_connections import MAX_RECORDS, Records
from optimove_provider.contract.wire.errors import DataError, Refused
from optimove_provider.contract.wire.messages import Flow
from optimove_provider.loads.optix.bisect import BAD_ROWS, TOO_LARGE, Put, bisect_refused
from optimove_provider.loads.optix.options import OptixTarget
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes
from optimove_provider.loads.optix.sender import SliceSender
from optimove_provider.loads.spool.slices import Slice
from optimove_provider.loads.state.journal import SliceOutcome, Stage
from optimove_provider.records.to_json.encode import slice_text

log = logging.getLogger(__name__)


class NothingAccepted(DataError):
    """The server refused every row, one by one: the batch stays open, as there is no row to complete it with."""


class _ClosingUnknown(Exception):
    """A repeated closing request was refused: the batch may have been completed before."""


def send_batch(flight: SliceSender, target: OptixTarget) -> SliceOutcomes:
    """Send everything and complete the batch. Raises the errors of `contract.wire.errors`; nothing is visible then.

    Where nobody can know what became of a batch, everything goes once more as another one.
    """
    return _Sender(flight, target).send()


class _Sender:
    def __init__(self, flight: SliceSender, target: OptixTarget) -> None:
        self._flight, self._target, self._journal = flight, target, flight.journal
        self._last = flight.parts.slices - 1

    def send(self) -> SliceOutcomes:
        flight = self._flight
        settled = self._journal.resume_or_begin_batch(flight.manner.resume_within)
        while not self._journal.is_completed:
            log.info("batch %s", self._journal.batch_uuid)
            flight.begin(settled)
            try:
                flight.send(range(self._last), self._put_open)
                self._close()
            except _ClosingUnknown as doubt:
                log.warning("%s. Everything goes once more, as a batch of its own that replaces each row", doubt)
                self._journal.begin_batch()
                settled = {}
        if self._last not in settled:  # an earlier try died between completing the batch and saying so
            settled[self._last] = SliceOutcome(flight.parts.rows - self._last * MAX_RECORDS)
        flight.totals.settled = settled
        return flight.totals

    def _put_open(self, slice_: Slice) -> Put:
        return self._put(slice_, batch_completed=False)

    def _put(self, slice_: Slice, batch_completed: bool) -> Put:
        def put(rows: Sequence[int]) -> Flow[None]:
            return optix.upload_data(
                self._target.data_connection_uuid,
                Records(len(rows), slice_text(slice_.some(rows))),
                batch_uuid=self._journal.batch_uuid,
                batch_completed=batch_completed,
                ttl_seconds=self._target.ttl_seconds,
            )

        return put

    def _close(self) -> None:
        repeated, settled = self._journal.stage is Stage.CLOSING, self._flight.totals.settled
        if self._last not in settled:
            slice_ = next(self._flight.parts.read(self._journal.staging, [self._last]))
            self._close_with(slice_, range(len(slice_)), repeated)
        if not self._journal.is_completed:
            slice_, row = self._accepted_row()
            self._close_with(slice_, [row], repeated)

    def _close_with(self, slice_: Slice, rows: Sequence[int], repeated: bool) -> None:
        """Complete the batch with these rows. Where those of the last slice are refused, it is settled without that."""
        flight, is_open = self._flight, slice_.number not in self._flight.totals.settled
        flight.may_send()
        if not repeated:
            self._journal.intend_to_complete()
        try:
            flight.run(self._put(slice_, batch_completed=True)(rows))
        except Refused as refusal:
            if repeated or refusal.repeated:
                raise _ClosingUnknown(f"the repeated request to complete the batch was refused: {refusal}") from None
            self._journal.completing_refused()
            if not is_open or refusal.status not in (*BAD_ROWS, TOO_LARGE):
                raise
            # Its good rows go with the batch left open; one of them completes it then.
            apart = bisect_refused(len(slice_), refusal, self._put_open(slice_), flight.hunt)
            flight.settle(slice_, flight.run(apart))
        else:
            self._journal.completed()
            if is_open:
                flight.settle(slice_, ())

    def _accepted_row(self) -> tuple[Slice, int]:
        """A row that the server took, to complete the batch with: sent again, byte for byte."""
        for number, settled in sorted(self._flight.totals.settled.items(), reverse=True):
            if settled.accepted:
                slice_ = next(self._flight.parts.read(self._journal.staging, [number]))
                refused = {one.position for one in settled.rejected}
                return slice_, next(row for row in range(len(slice_)) if row not in refused)
        raise NothingAccepted(
            "the server refused every row, so there is none to complete the batch with: it stays open, and nothing "
            "became visible"
        )
