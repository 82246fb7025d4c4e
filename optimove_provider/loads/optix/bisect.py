"""Delivering a slice although some of its rows are refused: those rows are found by halving, the others land.

The server answers 400 or 422 for the whole request and need not say which row it means. So the request is taken
apart until every refused row stands alone, with the server's own words about it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, log2

from optimove_provider.contract.optix.named_rows import named_rows
from optimove_provider.contract.wire.errors import OptimoveProviderError, Refused
from optimove_provider.contract.wire.messages import Flow
from optimove_provider.loads.state.journal import Rejection

log = logging.getLogger(__name__)

BAD_ROWS, TOO_LARGE = (400, 422), 413
"""Statuses: a malformed body is documented as 400, and 422 is what servers of this kind use for a bad schema."""
TRIED_ALONE = 3

Put = Callable[[Sequence[int]], Flow[None]]
"""Sends the rows at these positions of a slice in one request. Raises the errors of `contract.wire.errors.succeed`."""


class RequestIsWrong(OptimoveProviderError):
    """Rows from different places are refused in the same words: it is the request that is wrong, not a row."""


class BisectTooLong(OptimoveProviderError):
    """More requests were needed to find the refused rows than `max_bisect_requests` allows."""


@dataclass(slots=True)
class BisectBudget:
    """What the slices of one load share while refused rows are looked for. Threads may use it together.

    A refusal is about rows once a request was `accepted`; until then rows from three places are sent alone first, which
    tells whether the request itself is wrong. Without `probe` they are not: so few rows are sent that all may be bad.
    """

    max_requests: int
    requests_per_10s: float
    probe: bool = True
    accepted: bool = False
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self) -> None:
        """Count one more request. Raises BisectTooLong."""
        with self._lock:
            self.requests += 1
            if self.requests > self.max_requests:
                raise BisectTooLong(
                    f"{self.max_requests} requests (max_bisect_requests) were not enough to find all rows that the "
                    "server refuses. The batch stays open, so nothing is visible. Look at what was refused in the log "
                    "and mend the source, or raise max_bisect_requests"
                )

    def announce(self, rows: int, refusal: Refused) -> None:
        """Say what looking for the refused rows of a slice will cost, before it is paid."""
        each = 2 * ceil(log2(max(rows, 2)))
        log.warning(
            "a slice of %d rows was refused (%d: %.200s). Looking for the bad rows: about %d requests, %.0f s at "
            "requests_per_10s, for each of them; max_bisect_requests leaves %d",
            rows,
            refusal.status,
            refusal.text,
            each,
            10 * each / self.requests_per_10s,
            self.max_requests - self.requests,
        )


def send_or_bisect(rows: int, put: Put, budget: BisectBudget) -> Flow[list[Rejection]]:
    """Send all rows of a slice that the server takes; returns the others, in their order.

    Raises RequestIsWrong, BisectTooLong, and what `put` raises for any status but 400, 413 and 422.
    """
    try:
        yield from put(range(rows))
    except Refused as refusal:
        return (yield from bisect_refused(rows, refusal, put, budget))
    budget.accepted = True
    return []


def bisect_refused(rows: int, refusal: Refused, put: Put, budget: BisectBudget) -> Flow[list[Rejection]]:
    """Go on as `send_or_bisect` does after a slice was refused as a whole."""
    _check_status(refusal)
    budget.announce(rows, refusal)
    rejected = yield from _first_part(range(rows), refusal, put, budget)
    return sorted(rejected, key=lambda one: one.position)


def _check_status(refusal: Refused) -> None:
    if refusal.status not in (*BAD_ROWS, TOO_LARGE):
        raise refusal


def _first_part(rows: Sequence[int], refusal: Refused, put: Put, budget: BisectBudget) -> Flow[list[Rejection]]:
    """Take a refused slice apart, unless it turns out that the request itself is wrong."""
    is_about_rows = budget.accepted or not budget.probe or refusal.status == TOO_LARGE
    if is_about_rows or len(rows) < TRIED_ALONE:
        return (yield from _bisect(rows, refusal, put, budget))
    alone = [rows[0], rows[len(rows) // 2], rows[-1]]
    rejected = []
    for row in alone:
        rejected += yield from _try([row], put, budget)
    if len(rejected) == len(alone) and len({one.reason for one in rejected}) == 1:
        raise RequestIsWrong(
            f"{len(alone)} rows from different places were each refused with {rejected[0].status}, in the same words: "
            f"{rejected[0].reason}. So the request is wrong, not a row: check primary_key and the columns"
        )
    rest = [row for row in rows if row not in alone]
    # If each of the three was taken, the bad row is among the others: no need to ask for them together.
    others = _bisect(rest, None, put, budget) if rest and not rejected else _try(rest, put, budget)
    return rejected + (yield from others)


def _try(rows: Sequence[int], put: Put, budget: BisectBudget) -> Flow[list[Rejection]]:
    if not rows:
        return []
    budget.spend()
    try:
        yield from put(rows)
    except Refused as refusal:
        _check_status(refusal)
        return (yield from _bisect(rows, refusal, put, budget))
    budget.accepted = True
    return []


def _bisect(rows: Sequence[int], refusal: Refused | None, put: Put, budget: BisectBudget) -> Flow[list[Rejection]]:
    """Take apart rows among which at least one is bad. `refusal` is what they were refused with, if they were sent."""
    if len(rows) == 1:
        return [_rejection(rows[0], refusal)] if refusal else (yield from _try(rows, put, budget))
    named = [rows[index] for index in named_rows(refusal.text, len(rows))] if refusal else []
    if named and len(named) < len(rows):
        return (yield from _named_first(rows, named, put, budget))
    middle = len(rows) // 2
    rejected = yield from _try(rows[:middle], put, budget)
    certain = not rejected and (refusal is None or refusal.status in BAD_ROWS)
    # Where one half is good, the other cannot be: it is taken apart without being asked for as a whole.
    other = _bisect(rows[middle:], None, put, budget) if certain else _try(rows[middle:], put, budget)
    return rejected + (yield from other)


def _named_first(rows: Sequence[int], named: Sequence[int], put: Put, budget: BisectBudget) -> Flow[list[Rejection]]:
    rejected = []
    for row in named:
        rejected += yield from _try([row], put, budget)
    apart = set(named)
    return rejected + (yield from _try([row for row in rows if row not in apart], put, budget))


def _rejection(row: int, refusal: Refused) -> Rejection:
    return Rejection(row, refusal.status, refusal.text or "(no text)")
