"""The requests of a load over time: how many were answered, throttled, refused or lost, in a few spans alike."""

import threading
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.messages import Answer, Lost
from optimove_provider.surroundings import Surroundings

if TYPE_CHECKING:
    from optimove_provider.loads.report.report import Report

MOST = 30
"""Spans. Each is a second long at first; when the load lasts longer than all of them, they are made twice as long."""
KINDS = ("answered", "throttled", "refused", "failed", "lost")
"""Of answers: 2xx; 429 and 503; other 4xx, among them those of a bisection; anything else; and no answer at all."""


class Timeline:
    """Counts the answers that a client sees into a report. Threads may share it."""

    def __init__(self, report: "Report", surroundings: Surroundings) -> None:
        self._surroundings, self._lock = surroundings, threading.Lock()
        self._began = surroundings.monotonic()
        self._told: dict[str, Any] = report.requests
        self._told |= {"began": surroundings.now().isoformat(), "seconds": 1, "spans": {}}

    def see(self, answer: Answer) -> None:
        """Count an answer."""
        with self._lock:
            passed = self._surroundings.monotonic() - self._began
            while passed >= MOST * self._told["seconds"]:
                self._double()
            _count(self._told["spans"], int(passed // self._told["seconds"]), {_kind(answer): 1})

    def _double(self) -> None:
        spans = self._told["spans"]
        self._told |= {"seconds": self._told["seconds"] * 2, "spans": {}}
        for number, counts in spans.items():
            _count(self._told["spans"], int(number) // 2, counts)


def _count(spans: dict[str, dict[str, int]], number: int, counts: dict[str, int]) -> None:
    span = spans.setdefault(str(number), {})
    for kind, n in counts.items():
        span[kind] = span.get(kind, 0) + n


def _kind(answer: Answer) -> str:
    if isinstance(answer, Lost):
        return "lost"
    if answer.status in (429, 503):
        return "throttled"
    return "answered" if answer.ok else "refused" if 400 <= answer.status < 500 else "failed"
