"""The requests of a client over time: how many were answered, throttled, refused or lost, in a few spans alike."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optimove_provider.contract.wire.messages import Answer, Lost
from optimove_provider.surroundings import Surroundings

MOST = 30
"""Spans. Each is a second long at first; when the client lives longer than all of them, they are made twice as long."""
KINDS = ("answered", "throttled", "refused", "failed", "lost")
"""Of answers: 2xx; 429 and 503; other 4xx, among them those of a bisection; anything else; and no answer at all."""


class Timeline:
    """Counts answers. Threads may share it.

    `counts` is what a report keeps: when it `began`, how many `seconds` a span has, and of each span with an answer, by
    its number from 0, how many of each kind.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings, self._lock = surroundings, threading.Lock()
        self._began = surroundings.monotonic()
        self.counts: dict[str, Any] = {"began": surroundings.now().isoformat(), "seconds": 1, "spans": {}}

    def see(self, answer: Answer) -> None:
        """Count an answer."""
        with self._lock:
            passed = self._surroundings.monotonic() - self._began
            while passed >= MOST * self.counts["seconds"]:
                self._double()
            _count(self.counts["spans"], int(passed // self.counts["seconds"]), {_kind(answer): 1})

    def go_on_from(self, others: Sequence[Mapping[str, Any]]) -> None:
        """Count on from what other processes have counted of the same work."""
        if not others:
            return
        with self._lock:
            now = self._surroundings.now()
            self.counts |= _together([*others, self.counts])
            passed = (now - datetime.fromisoformat(self.counts["began"])).total_seconds()
            self._began = self._surroundings.monotonic() - passed

    def _double(self) -> None:
        spans = self.counts["spans"]
        self.counts |= {"seconds": self.counts["seconds"] * 2, "spans": {}}
        for number, counts in spans.items():
            _count(self.counts["spans"], int(number) // 2, counts)


def total(counts: Mapping[str, Any], *kinds: str) -> int:
    """How many answers of these kinds, or of all, are in a report's counts."""
    return sum(span.get(kind, 0) for span in counts.get("spans", {}).values() for kind in kinds or KINDS)


def _together(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of several processes as those of one that began when the first of them did."""
    begins = [datetime.fromisoformat(one["began"]) for one in every]
    began, seconds = min(begins), max(one["seconds"] for one in every)
    placed = [
        ((begin - began).total_seconds() + int(number) * one["seconds"], counts)
        for begin, one in zip(begins, every, strict=True)
        for number, counts in one["spans"].items()
    ]
    while any(at >= MOST * seconds for at, _ in placed):
        seconds *= 2
    spans: dict[str, dict[str, int]] = {}
    for at, counts in sorted(placed, key=lambda one: one[0]):
        _count(spans, int(at // seconds), counts)
    return {"began": began.isoformat(), "seconds": seconds, "spans": spans}


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
