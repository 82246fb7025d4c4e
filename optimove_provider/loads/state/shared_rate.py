"""The requests of a connection in any ten seconds, for all processes that share staging: a small file says who may send
how many, and when.

`rates/<connection>.json` has the grants of the last seconds. A process is granted at most a twentieth of the rate at a
time, for half a second; one that is slower, as requests take long, what it is likely to need, for two seconds. When it
asks again, it gives back what it did not use.
"""

import json
import logging
import math
import threading
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

from optimove_provider.clients.http.drive import Budget
from optimove_provider.clients.session import Client
from optimove_provider.clients.settings import Settings
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)

FOLDER = "rates"
PARTS = 20
"""The most that is granted at a time is such a part of the rate: with smaller ones, the file would be written more
often."""
BRIEF, LONG = 0.5, 2.0
"""Seconds that a grant lasts: while it does, nobody knows when its requests are made, so it counts for as long more."""
_SPARE = 1.5
"""Times what a process has used lately: it may need more."""
_SHORTEST = 0.25
"""Seconds by which a pace is told, at least."""
_FAR = 3600.0
"""Seconds. A grant that is further away was made by a clock that went wrong."""
_ATTEMPTS = 30
_RATES = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/airflow-provider-optimove/rates")


class Grant(NamedTuple):
    """How many requests may be made, for how many seconds from when on, in seconds since 1970; and an id."""

    at: float
    requests: int
    name: str
    lasts: float = BRIEF


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
        self._staging = staging
        name = uuid.uuid5(_RATES, json_body([settings.host, settings.conn_id]).decode())
        self._path = f"{staging.root.rstrip('/')}/{FOLDER}/{name}.json"
        self._grabbing = threading.Lock()
        self._own, self._used, self._since = Grant(0.0, 0, ""), 0, float("-inf")  # the last one, by this clock
        self._takes = 0.0  # seconds, to be granted anything

    def reserve(self) -> float:
        """Take the next free slot; returns the seconds until it comes."""
        with self._grabbing:
            if self._used >= self._own.requests or self._clock() > self._since + self._own.lasts:
                try:
                    self._grab()
                except Exception as error:  # a full disk, a storage that does not answer
                    log.warning("the rate of this connection is not shared with other processes just now: %s", error)
                    return super().reserve()
            self._used += 1
            return max(self._since - self._clock(), 0.0)

    def _grab(self) -> None:
        """Be granted some requests."""
        count, lasts = self._wanted()
        for _ in range(_ATTEMPTS):
            began = self._clock()
            granted = self._ask(count, lasts)
            now = self._clock()
            if granted:
                self._takes = now - began
                late = self._surroundings.now().timestamp() - granted.at
                self._own, self._used, self._since = granted, 0, now - late
                if late <= granted.lasts:
                    return
            # Somebody else was first; or the storage took so long that the grant is over: the next one begins later.
            self._surroundings.sleep(self._surroundings.draw(0.01, 0.1))
        raise TimeoutError(f"{self._staging.url(FOLDER)} was not to be had {_ATTEMPTS} times over")

    def _wanted(self) -> tuple[int, float]:
        """How many requests to ask for, and for how many seconds, by what came of the last grant."""
        most = max(1, self._most // PARTS)
        if not self._own.name:
            return -(-most // 4), BRIEF  # others may begin at the same time
        pace = _SPARE * self._used / max(self._clock() - self._since, _SHORTEST)
        return (most, BRIEF) if pace * BRIEF >= most else (min(most, math.ceil(pace * LONG) or 1), LONG)

    def _ask(self, count: int, lasts: float) -> Grant | None:
        """Ask for requests, and give back what was not used; None if somebody else asked at the same time."""
        fs = self._staging.fs
        seen = compare_and_swap.read(fs, self._path)
        now = self._surroundings.now().timestamp()
        known = [one._replace(requests=self._used) if one.name == self._own.name else one for one in _grants(seen.body)]
        recent = [one for one in known if one.requests and now < self._counts_until(one) and one.at < now + _FAR]
        spent = [(one.at, one.requests, self._counts_until(one)) for one in recent]
        # Whose write it is, a storage may have to be asked: so no two are the same.
        at = first_free(spent, count, self._most, now + self._takes)
        granted = Grant(at, count, str(self._surroundings.new_id()), lasts)
        body = json_body([*recent, granted])
        return granted if compare_and_swap.replace(fs, self._path, body, seen, self._staging.modes) else None

    def _counts_until(self, grant: Grant) -> float:
        return grant.at + grant.lasts + self._window


def _grants(body: bytes | None) -> list[Grant]:
    """Those of a file that is empty or damaged are none: it says nothing that matters for longer than some seconds."""
    try:
        return [
            Grant(float(at), int(count), str(name), float(lasts))
            for at, count, name, lasts in json.loads(body or b"[]")
        ]
    except (ValueError, TypeError):
        return []


def first_free(spent: Iterable[tuple[float, int, float]], count: int, most: int, now: float) -> float:
    """The first instant, not before `now`, at which so many more are with all that count then at most `most`. What was
    `spent`: from when on, how many, and until when they count. Grants are made in turn: none is before an earlier one.
    """
    known = list(spent)
    at = max([now, *(begin for begin, _, _ in known)])
    taken = sum(one for _, one, until in known if until > at)
    for until, one in sorted((until, one) for _, one, until in known if until > at):
        if taken + count <= most:
            break
        at, taken = until, taken - one
    return at
