"""What a load takes from outside that nobody decides: time, sleep, random ids and threads. Standard library only.

Every place in `clients`, `loads` and `tasks` that needs one of these asks the value it was given, so that a whole load
can run in one thread on a virtual clock. `REAL` is what production uses.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol


class Repetition(Protocol):
    """Something done again and again beside the caller, until it is stopped."""

    def stop(self) -> None:
        """End it, and wait for a call that is under way. May be called twice."""


class _Thread:
    def __init__(self, every: timedelta, call: Callable[[], bool], name: str) -> None:
        self._every, self._call, self._stopped = every.total_seconds(), call, threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._every) and self._call():
            pass

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def _now() -> datetime:
    return datetime.now(UTC)


def _draw(least: float, most: float) -> float:
    return random.uniform(least, most)  # noqa: S311 - spreads load, guards nothing


def _any_done(under_way: Collection[Future[Any]]) -> set[Future[Any]]:
    return wait(under_way, return_when=FIRST_COMPLETED).done


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Time, sleep, random ids and threads.

    `now` is an aware instant in UTC, `nanoseconds` those since 1970; `monotonic` counts seconds from anywhere. `sleep`
    takes seconds. `new_id` is a random UUID, `draw` a number between two. `pool` makes an executor with so many
    threads and a name for them, and `any_done` waits until at least one of its futures is done, and returns those that
    are; `repeat` calls something at an interval for as long as it returns True.
    """

    now: Callable[[], datetime] = _now
    nanoseconds: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    new_id: Callable[[], uuid.UUID] = uuid.uuid4
    draw: Callable[[float, float], float] = _draw
    pool: Callable[[int, str], Executor] = ThreadPoolExecutor
    any_done: Callable[[Collection[Future[Any]]], set[Future[Any]]] = _any_done
    repeat: Callable[[timedelta, Callable[[], bool], str], Repetition] = _Thread


REAL = Surroundings()

LAST_DAY = datetime(9999, 1, 1, tzinfo=UTC)


def after(instant: datetime, span: timedelta) -> datetime:
    """The instant a span later; the calendar's last day where it does not reach so far."""
    return min(instant, LAST_DAY) + min(span, LAST_DAY - min(instant, LAST_DAY))
