"""Sending a load to Opti-X: slices under one batch, which the last one completes."""

import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.errors import OptimoveProviderError, ServerTrouble, SettingsError
from optimove_provider.loads.report import Report
from optimove_provider.loads.spool import Spool, spooled
from optimove_provider.records.payload import KEY_TYPES

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class OptixTarget:
    """Where the rows go. `ttl_seconds` None means that they never expire."""

    data_connection_uuid: str
    primary_key: str
    key_type: str = "string"
    ttl_seconds: int | None = None

    def __post_init__(self) -> None:
        if self.key_type not in KEY_TYPES:
            raise SettingsError(f"key_type {self.key_type!r}: expected {' or '.join(KEY_TYPES)}")
        if self.ttl_seconds is not None and self.ttl_seconds <= 0:
            raise SettingsError(f"ttl_seconds {self.ttl_seconds}: expected more than 0, or None for never")


def load_full(client: OptixClient, batches: Iterable[pa.RecordBatch], target: OptixTarget, report: Report) -> None:
    """Send every row under one batch_uuid and complete the batch with the last slice; `report` tells the story.

    Nothing is sent unless every row is fit to be sent. On an error the batch stays open, so no row becomes visible,
    and the error says what had been sent.
    """
    began = time.monotonic()
    try:
        with spooled(batches, target.primary_key, target.key_type) as spool:
            report.rows = spool.rows
            if spool.rows:
                _send(client, spool, target, report)
            else:
                report.state = "nothing_to_send"
    except BaseException as error:
        report.state, report.problem = "failed", str(error)
        raise
    finally:
        report.seconds = time.monotonic() - began


def _send(client: OptixClient, spool: Spool, target: OptixTarget, report: Report) -> None:
    batch_uuid = str(uuid.uuid5(uuid.UUID(report.load_id), "batch 1"))
    sent, slices, told = 0, len(spool.counts), time.monotonic()
    log.info("sending %d rows in %d slices under batch %s", spool.rows, slices, batch_uuid)
    for number, records in enumerate(spool.slices(), 1):
        try:
            client.upload_data(
                target.data_connection_uuid,
                records,
                batch_uuid=batch_uuid,
                batch_completed=number == slices,
                ttl_seconds=target.ttl_seconds,
            )
        except OptimoveProviderError as error:
            error.args = (f"{error}. {_what_was_sent(sent, spool.rows, number, slices, batch_uuid, error)}",)
            raise
        sent += records.count
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("%d of %d rows sent (%.0f %%)", sent, spool.rows, 100 * sent / spool.rows)
    report.accepted, report.state = sent, "committed"
    log.info("batch %s is completed: %d rows are visible", batch_uuid, sent)


def _what_was_sent(
    sent: int, rows: int, number: int, slices: int, batch_uuid: str, error: OptimoveProviderError
) -> str:
    before = f"{sent} of {rows} rows had been accepted under batch {batch_uuid} when slice {number} of {slices} failed"
    # A refusal of a repeated request says nothing of what became of its first try.
    maybe_done = isinstance(error, ServerTrouble) or getattr(error, "sent", False) or getattr(error, "repeated", False)
    if number == slices and maybe_done:
        return f"{before}; it was the one that completes the batch, so all rows may be visible, or none"
    return f"{before}; the batch is not completed, so none of its rows is visible"
