"""Drivers: they run a flow, politely. Everything that a flow decides stays in the flow.

`run` sends and sleeps; `arun` awaits both; nothing else differs between the two. `polite` wraps a flow in another
flow, so both drivers retry and keep to the rate alike.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from optimove_provider.contract.wire.messages import Answer, Flow, Lost, Request, Response, Sleep, T
from optimove_provider.surroundings import REAL, Surroundings

log = logging.getLogger(__name__)

Send = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True)
class _Done:
    value: object


def _step(flow: Flow[T], answer: Answer | None) -> Request | Sleep | _Done:
    try:
        return flow.send(answer)
    except StopIteration as stop:
        return _Done(stop.value)


def _tell(nap: Sleep) -> None:
    log.info("waiting %.1f s%s", nap.seconds, f": {nap.why}" if nap.why else "")


def run(flow: Flow[T], send: Send, sleep: Callable[[float], object] = REAL.sleep) -> T:
    """Run a flow to its end, blocking."""
    answer: Answer | None = None
    try:
        while not isinstance(step := _step(flow, answer), _Done):
            if isinstance(step, Sleep):
                _tell(step)
                sleep(step.seconds)
                answer = None
            else:
                answer = send(step)
    finally:
        flow.close()
    return step.value  # type: ignore[return-value]  # a _Done carries the flow's own T


async def arun(flow: Flow[T], send: Send, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> T:
    """Run a flow to its end without blocking the event loop: each request is sent in a thread."""
    answer: Answer | None = None
    try:
        while not isinstance(step := _step(flow, answer), _Done):
            if isinstance(step, Sleep):
                _tell(step)
                await sleep(step.seconds)
                answer = None
            else:
                answer = await asyncio.to_thread(send, step)
    finally:
        flow.close()
    return step.value  # type: ignore[return-value]  # a _Done carries the flow's own T


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how long between. Waits are in seconds."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0

    def wait(self, attempt: int, request: Request, answer: Answer, jitter: float) -> float:
        """Seconds to wait after failed attempt number `attempt`, counted from 1; `jitter` shortens the backoff."""
        backoff = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait) * jitter
        if not isinstance(answer, Response):
            return backoff
        asked = min(_retry_after(answer), self.longest_retry_after)
        slow_down = answer.status in (429, 503)
        least = request.endpoint.least_wait_seconds if request.endpoint and slow_down else 0.0
        return float(max(backoff, asked, least))


def _retry_after(response: Response) -> float:
    try:
        return float(Retry().parse_retry_after(response.headers.get("retry-after", "0")))
    except (InvalidHeader, ValueError, OverflowError):  # no date or number at all, or one beyond all bounds
        return 0.0


def _may_succeed(request: Request, answer: Answer) -> bool:
    """Whether to send again: only what is safe to repeat, or what certainly never left."""
    safe = request.endpoint is not None and request.endpoint.retry_safe
    if isinstance(answer, Lost):
        return safe or not answer.sent
    return safe and (answer.status in (408, 429) or answer.status >= 500)


class Budget:
    """At most so many requests in any 10 seconds, for all threads of this process that share it."""

    def __init__(self, requests_per_10s: float, clock: Callable[[], float] = REAL.monotonic):
        self._window = 10.0
        self._recent: deque[float] = deque(maxlen=max(1, int(requests_per_10s)))
        self._clock, self._lock = clock, threading.Lock()
        if requests_per_10s < 1:
            self._window = 10.0 / requests_per_10s

    def reserve(self) -> float:
        """Take the next free slot; returns the seconds until it comes."""
        with self._lock:
            now = self._clock()
            full = len(self._recent) == self._recent.maxlen
            slot = max(now, self._recent[0] + self._window) if full else now
            self._recent.append(slot)
            return slot - now


def _persist(request: Request, retries: Retries, budget: Budget, surroundings: Surroundings) -> Flow[Answer]:
    attempt, began, left = 1, surroundings.monotonic(), False
    while True:
        if (wait := budget.reserve()) > 0:
            yield Sleep(wait, "requests_per_10s is used up")
        answer = yield request
        if answer is None:
            raise TypeError("the driver sent no answer to a request")
        if attempt == retries.attempts or not _may_succeed(request, answer):
            break
        failure = answer.reason if isinstance(answer, Lost) else f"status {answer.status}"
        why = f"{request.method} failed ({failure}), try {attempt + 1} of {retries.attempts} next"
        left = left or not isinstance(answer, Lost) or answer.sent
        yield Sleep(retries.wait(attempt, request, answer, surroundings.draw(0.5, 1.0)), why)
        attempt += 1
    if attempt == 1:
        return answer
    if isinstance(answer, Response):
        return replace(answer, repeated=left)
    tried = f"tried {attempt} times in {surroundings.monotonic() - began:.0f} s"
    return Lost(f"{answer.reason} ({tried})", sent=answer.sent or left)


def polite(flow: Flow[T], retries: Retries, budget: Budget, surroundings: Surroundings = REAL) -> Flow[T]:
    """The same flow within the budget, with requests repeated that failed and may be repeated."""
    answer: Answer | None = None
    try:
        while not isinstance(step := _step(flow, answer), _Done):
            answer = (
                (yield step) if isinstance(step, Sleep) else (yield from _persist(step, retries, budget, surroundings))
            )
    finally:
        flow.close()
    return step.value  # type: ignore[return-value]  # a _Done carries the flow's own T
