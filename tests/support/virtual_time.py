"""Surroundings of one thread: a clock that goes only when somebody sleeps, ids that come in order, no chance."""

import threading
import uuid
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from optimove_provider.surroundings import REAL, Surroundings

START = datetime(2026, 11, 28, tzinfo=UTC)


class VirtualTime:
    """`elapsed` is the seconds that were slept."""

    def __init__(self):
        self.elapsed, self._ids, self._repeated = 0.0, 0, []

    def surroundings(self):
        return Surroundings(
            now=lambda: START + timedelta(seconds=self.elapsed),
            nanoseconds=lambda: int((START.timestamp() + self.elapsed) * 1e9),
            monotonic=lambda: self.elapsed,
            sleep=self.sleep,
            new_id=self._new_id,
            draw=lambda least, most: most,
            pool=lambda size, name: AtOnce(),
            repeat=self._repeat,
        )

    def sleep(self, seconds):
        """Time passes; whatever is to be repeated meanwhile is done."""
        until = self.elapsed + seconds
        while due := min((one for one in self._repeated if one.next <= until), key=lambda one: one.next, default=None):
            self.elapsed = max(self.elapsed, due.next)
            due.run()
        self.elapsed = until

    def _new_id(self):
        self._ids += 1
        return uuid.UUID(int=self._ids, version=4)

    def _repeat(self, every, call, name):
        repeated = _Repeated(self, every.total_seconds(), call)
        self._repeated.append(repeated)
        return repeated

    def forget(self, repeated):
        if repeated in self._repeated:
            self._repeated.remove(repeated)


class _Repeated:
    def __init__(self, time, every, call):
        self._time, self._every, self._call = time, every, call
        self.next = time.elapsed + every

    def run(self):
        self.next += self._every
        if not self._call():
            self.stop()

    def stop(self):
        self._time.forget(self)


class AtOnce(Executor):
    """An executor that does each thing when it is handed in."""

    def submit(self, call, /, *arguments, **named):
        future = Future()
        try:
            future.set_result(call(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)
        return future


@dataclass
class ClientTime:
    """A client's time, which passes only while it sleeps; its threads are real, and each one's sleep adds to it."""

    seconds: float = 0.0
    naps: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
            self.naps.append(seconds)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    @property
    def surroundings(self) -> Surroundings:
        """Those of a client whose waits are never shortened by chance."""
        return Surroundings(
            now=self.now,
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            draw=lambda least, most: most,
            pool=REAL.pool,
            repeat=REAL.repeat,
        )
