"""Triggers of Dynamic Customer Profiles."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.kinds import SPAN

if TYPE_CHECKING:
    from optimove_provider.clients.http.drive import Send
    from optimove_provider.contract.dcp.waiting import Ask

THREADS = 64
"""For all triggers of this package in one triggerer: the event loop has few, and they are everybody's."""
FIRST_POLL_SECONDS = 12.0
"""A trigger that fires within 10 s of the deferral can get its task failed: apache/airflow#72716."""


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "optimove-trigger")


@cache
def _send_within(timeout_seconds: float) -> "Send":
    """What sends for all these triggers: a client of its own for each would connect anew for each poll."""
    from optimove_provider.clients.http.transport import Transport

    return Transport(timeout_seconds)


def _seconds(name: str, given: float) -> float:
    """A span of time that the event loop can wait: one that is no number would upset everybody's."""
    return float(SPAN.literal(name, given).total_seconds())


async def _until(instant: float) -> None:
    """Wait until then, by the event loop's clock."""
    await asyncio.sleep(max(instant - asyncio.get_running_loop().time(), 0))


class DcpUploadTrigger(BaseTrigger):
    """Fires when every file is imported, or one failed: by the upload history, or by reading `samples` back.

    The event is {"outcome": {...}}, which says so of profiles that cannot be read; or {"error": text, "retry_helps":
    bool} when reading may succeed later, or anything went wrong. `samples` hold customer ids and digests of values.
    `until_begun`: it is enough that the import of each file is under way, as every row will be looked at.
    """

    def __init__(
        self,
        table_id: int,
        s3_keys: Sequence[str],
        dcp_conn_id: str,
        poll_seconds: float,
        first_poll_seconds: float = FIRST_POLL_SECONDS,
        max_failed_polls: int = 3,
        samples: Sequence[Mapping[str, Any]] | None = None,
        until_begun: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's triggers are not typed
        self.table_id = table_id
        self.s3_keys = list(s3_keys)
        self.dcp_conn_id = dcp_conn_id
        self.poll_seconds = poll_seconds
        self.first_poll_seconds = first_poll_seconds
        self.max_failed_polls = max_failed_polls
        self.samples = samples
        self.until_begun = until_begun

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments: JSON, and no secret among them."""
        names = ("table_id", "s3_keys", "dcp_conn_id", "poll_seconds", "first_poll_seconds", "max_failed_polls")
        kwargs = {name: getattr(self, name) for name in (*names, "samples", "until_begun")}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is something to say; yield once, after the client is closed, whatever happens."""
        yield TriggerEvent(await self._event())

    async def _event(self) -> dict[str, Any]:
        from optimove_provider.contract.dcp.readback import unreadable
        from optimove_provider.contract.wire.errors import ApiError, OptimoveProviderError, UnreadableAnswer
        from optimove_provider.contract.wire.outside import cut

        first_poll = asyncio.get_running_loop().time()
        try:
            first_poll += _seconds("first_poll_seconds", self.first_poll_seconds)
            return {"outcome": await self._wait(first_poll)}
        except OptimoveProviderError as error:
            if self.samples is not None and isinstance(error, ApiError | UnreadableAnswer) and not error.retry_helps:
                return {"outcome": unreadable(self.s3_keys, error).as_json()}
            await _until(first_poll)
            return {"error": cut(str(error)), "retry_helps": error.retry_helps}
        except (
            Exception
        ) as error:  # of Airflow, of its secrets backends, or a bug: without an event the task would hang
            self.log.exception("%s failed", type(self).__name__)
            await _until(first_poll)
            return {"error": cut(f"{type(self).__name__} failed: {type(error).__name__}: {error}"), "retry_helps": True}

    async def _wait(self, first_poll: float) -> dict[str, Any]:
        from optimove_provider.clients.http.patience import POLLING
        from optimove_provider.contract.dcp.readback import has_begun

        poll_seconds = _seconds("poll_seconds", self.poll_seconds)
        # Where many are deferred at once, they have the time until their first poll for this, and not all at its end.
        with await DcpHook(self.dcp_conn_id).aget_conn(POLLING, _send_within) as client:
            await _until(first_poll)
            polls = (poll_seconds, self.max_failed_polls, _threads())
            outcome = await client.wait(self._ask, *polls, lambda found: self.until_begun and has_begun(found))
        return outcome.as_json()

    @property
    def _ask(self) -> "Ask":
        from optimove_provider.contract.dcp import config as dcp
        from optimove_provider.contract.dcp import readback

        if self.samples is None:
            return partial(dcp.upload_outcome, self.table_id, self.s3_keys, set[str]())
        return partial(readback.read_back, [readback.Sample.from_json(sample) for sample in self.samples])
