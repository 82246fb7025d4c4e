"""Drivers: they run a flow, politely. Everything that a flow decides stays in the flow.

`run` sends and sleeps; `arun` awaits both; nothing else differs between the two. `polite` wraps a flow in another
flow, so both drivers retry and keep to the rate alike.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass

from optimove_provider.clients.http.patience import Patience, Retries, Tries
from optimove_provider.contract.wire.messages import Answer, Flow, Lost, Request, Response, Sleep, T
from optimove_provider.contract.wire.success import contradiction
from optimove_provider.surroundings import REAL

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


async def arun(
    flow: Flow[T],
    send: Send,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    threads: Executor | None = None,
) -> T:
    """Run a flow to its end without blocking the event loop: it sends, and thinks, in one of the `threads`.

    None stands for those that everybody in the event loop shares.
    """
    loop, is_left = asyncio.get_running_loop(), threading.Event()

    def until_it_waits() -> Sleep | _Done:
        answer = None
        while isinstance(step := _step(flow, answer), Request) and not is_left.is_set():
            answer = send(step)
        return step  # type: ignore[return-value]  # a Request only where nobody waits for it any more

    try:
        # The context tells Airflow whose log lines are written.
        while isinstance(step := await loop.run_in_executor(threads, copy_context().run, until_it_waits), Sleep):
            _tell(step)
            await sleep(step.seconds)
    finally:
        is_left.set()
        with suppress(ValueError):  # cancelled while a thread is in it: it is closed when that lets it go
            flow.close()
    return step.value  # type: ignore[return-value]  # a _Done carries the flow's own T


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


def _persist(request: Request, retries: Retries, budget: Budget, patience: Patience) -> Flow[Answer]:
    tries: Tries | None = None
    while True:
        if (wait := budget.reserve()) > 0:
            yield Sleep(wait, "requests_per_10s is used up")
        tries = tries or patience.begin(request, retries)
        while held := tries.held:
            if isinstance(held, Response):
                return tries.last(held)
            yield Sleep(held, "the server asked, in answer to another request, to be left alone")
        answer = yield tries.next
        if answer is None:
            raise TypeError("the driver sent no answer to a request")
        again = tries.wait_after(answer, patience.surroundings.draw(0.5, 1.0))
        if again is None:
            return tries.last(answer)
        failure = answer.reason if isinstance(answer, Lost) else f"status {answer.status}{_reason(answer)}"
        yield Sleep(again, f"{request.method} failed ({failure}), try {tries.count + 1} next")


def _reason(answer: Response) -> str:
    return f", {contradiction(answer)}" if answer.ok else ""


def polite(flow: Flow[T], retries: Retries, budget: Budget, patience: Patience | None = None) -> Flow[T]:
    """The same flow within the budget, with requests repeated that failed and may be repeated.

    Flows that share a `patience` go on for as long as one of them succeeds.
    """
    patience = patience or Patience()
    answer: Answer | None = None
    try:
        while not isinstance(step := _step(flow, answer), _Done):
            answer = (yield step) if isinstance(step, Sleep) else (yield from _persist(step, retries, budget, patience))
    finally:
        flow.close()
    return step.value  # type: ignore[return-value]  # a _Done carries the flow's own T
