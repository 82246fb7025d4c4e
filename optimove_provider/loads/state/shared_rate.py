"""The requests of a connection in any ten seconds, for all processes that share staging: a small file says who may send
how many, and when.

`rates/<connection>.json` has the grants of the last seconds: instants, and how many requests each is for. A process
takes a twentieth of the rate at a time, and has half a second to use it: what it does not use is lost.
"""

import json
import logging
import threading
import uuid
from collections.abc import Iterable
from typing import Any

from optimove_provider.clients.http.drive import Budget
from optimove_provider.clients.session import Client
from optimove_provider.clients.settings import Settings
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)

FOLDER = "rates"
PARTS = 20
"""In so many parts the rate is granted: with more, the file would be written more often."""
USED_WITHIN = 0.5
"""Seconds that a grant lasts."""
_FAR = 3600.0
"""Seconds. A grant that is further away was made by a clock that went wrong."""
_ATTEMPTS = 30
_RATES = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/airflow-provider-optimove/rates")

Grants = list[tuple[float, int, str]]
"""When, how many, and an id."""


def share_rate(client: Client[Any], staging: Staging) -> None:
    """Let a client keep to the rate of its connection together with all others, where staging has compare-and-swap."""
    if compare_and_swap.supports_compare_and_swap(staging.fs):
        client.keep_to(SharedBudget(staging, client.settings))


class SharedBudget(Budget):
    """The budget of a connection that all processes share. Where staging fails, this process keeps to the rate alone:
    no load fails for that."""

    def __init__(self, staging: Staging, settings: Settings) -> None:
        self._surroundings = staging.surroundings
        super().__init__(settings.requests_per_10s, self._surroundings.monotonic)
        self._most = max(1, int(settings.requests_per_10s))
        self._staging, self._seconds = staging, self._window + USED_WITHIN
        name = uuid.uuid5(_RATES, json_body([settings.host, settings.conn_id]).decode())
        self._path = f"{staging.root.rstrip('/')}/{FOLDER}/{name}.json"
        self._grabbing, self._left, self._since = threading.Lock(), 0, float("-inf")
        self._takes = 0.0  # seconds, to be granted anything

    def reserve(self) -> float:
        """Take the next free slot; returns the seconds until it comes."""
        with self._grabbing:
            if not self._left or self._clock() > self._since + USED_WITHIN:
                share = max(1, self._most // PARTS)
                try:
                    self._since = self._grab(share)
                except Exception as error:  # a full disk, a storage that does not answer
                    log.warning("the rate of this connection is not shared with other processes just now: %s", error)
                    return super().reserve()
                self._left = share
            self._left -= 1
            return max(self._since - self._clock(), 0.0)

    def _grab(self, share: int) -> float:
        """Be granted so many requests; returns when they may be made, by this process's clock."""
        for _ in range(_ATTEMPTS):
            began = self._clock()
            at = self._ask(share)
            took, late = self._clock() - began, self._surroundings.now().timestamp() - (at or 0.0)
            if at is not None:
                self._takes = took
                if late <= USED_WITHIN:
                    return self._clock() - late
            # Somebody else was first; or the storage took so long that the grant is over: the next one begins later.
            self._surroundings.sleep(self._surroundings.draw(0.01, 0.1))
        raise TimeoutError(f"{self._staging.url(FOLDER)} was not to be had {_ATTEMPTS} times over")

    def _ask(self, share: int) -> float | None:
        """When so many requests may be made, in seconds since 1970; None if somebody else asked at the same time."""
        fs = self._staging.fs
        seen = compare_and_swap.read(fs, self._path)
        now = self._surroundings.now().timestamp()
        recent = [grant for grant in _grants(seen.body) if now - self._seconds < grant[0] < now + _FAR]
        at = first_free([grant[:2] for grant in recent], share, self._most, self._seconds, now + self._takes)
        # Whose write it is, a storage may have to be asked: so no two are the same.
        body = json_body([*recent, (at, share, str(self._surroundings.new_id()))])
        return at if compare_and_swap.replace(fs, self._path, body, seen, self._staging.modes) else None


def _grants(body: bytes | None) -> Grants:
    """Those of a file that is empty or damaged are none: it says nothing that matters for longer than some seconds."""
    try:
        return [(float(at), int(count), str(name)) for at, count, name in json.loads(body or b"[]")]
    except (ValueError, TypeError):
        return []


def first_free(recent: Iterable[tuple[float, int]], share: int, most: int, seconds: float, now: float) -> float:
    """The first instant, not before `now`, at which as many as `share` more leave any span of `seconds` with at most
    `most`. Grants are taken in turn: none is before one that was made earlier."""
    grants = sorted(recent)
    at = max([now, *(when for when, _ in grants)])
    taken = sum(count for when, count in grants if when > at - seconds)
    for when, count in grants:
        if taken + share <= most:
            break
        if when > at - seconds:
            at, taken = max(at, when + seconds), taken - count
    return at
