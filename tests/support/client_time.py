"""A client's time, which passes only while it sleeps: no test really waits, and its threads are real."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from optimove_provider.surroundings import REAL, Surroundings

BEGINNING = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass
class ClientTime:
    """`seconds` have passed. Threads share it: each one's sleep adds to it."""

    seconds: float = 0.0
    naps: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
            self.naps.append(seconds)

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.seconds)

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
