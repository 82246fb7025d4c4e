"""Delivering a slice although some of its rows are refused: those rows are found by halving, the others land.

The server answers 400 or 422 for the whole request and need not say which row it means. So the request is taken
apart until every refused row stands alone, with the server's own words about it. What an answer names is a hint: it is
tried once, and where that was wrong, the rest is halved. What is left to do lies on a list, so that no answer can make
the work deeper than this process can go.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, inf, log2

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.optix.named_rows import named_rows
from optimove_provider.contract.wire.errors import OptimoveProviderError, Refused
from optimove_provider.contract.wire.messages import Flow
from optimove_provider.loads.state.bisect_log import Answered
from optimove_provider.loads.state.journal import Rejection

log = logging.getLogger(__name__)

BAD_ROWS, TOO_LARGE = (400, 422), 413
"""Statuses: a malformed body is documented as 400, and 422 is what servers of this kind use for a bad schema."""
TRIED_ALONE = 3

Keep = Callable[[Answered], object]
"""Remembers the answer to a request, so that a retry goes on from there."""

Put = Callable[[Sequence[int]], Flow[None]]
"""Sends the rows at these positions of a slice in one request. Raises the errors of `contract.wire.errors.succeed`."""


class RequestIsWrong(OptimoveProviderError):
    """Rows from different places are refused in the same words: it is the request that is wrong, not a row."""

    then = NextStep.MEND_COLUMNS


class BisectTooLong(OptimoveProviderError):
    """More requests were needed to find the refused rows than `max_bisect_requests` allows."""

    then = NextStep.SPEND_MORE


@dataclass(slots=True)
class BisectBudget:
    """What the slices of one load share while refused rows are looked for. Threads may use it together.

    A refusal is about rows once a request was `accepted`; until then rows from three places are sent alone first, which
    tells whether the request itself is wrong, unless others were `accepted_elsewhere`: by other workers, of the same
    batch. Without `probe` they are not: so few rows are sent that all may be bad.
    `requests` counts those of earlier tries too; without `max_requests` the rows themselves are few enough.
    """

    max_requests: float
    requests_per_10s: float
    probe: bool = True
    accepted: bool = False
    requests: int = 0
    accepted_elsewhere: Callable[[], bool] = lambda: False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self) -> None:
        """Count one more request. Raises BisectTooLong."""
        with self._lock:
            self.requests += 1
            if self.requests > self.max_requests:
                raise BisectTooLong(
                    f"{self.max_requests:.0f} requests (max_bisect_requests) were not enough to find all rows that the "
                    "server refuses. The batch stays open, so nothing is visible. Look at what was refused in the log "
                    "and mend the source, or raise max_bisect_requests"
                )

    def announce(self, rows: int, refusal: Refused) -> None:
        """Say what looking for the refused rows of a slice will cost, before it is paid."""
        each = 2 * ceil(log2(max(rows, 2)))
        log.warning(
            "a slice of %d rows was refused (%d: %.200s). Looking for the bad rows: about %d requests, %.0f s at "
            "requests_per_10s, for each of them%s",
            rows,
            refusal.status,
            refusal.text,
            each,
            10 * each / self.requests_per_10s,
            "" if self.max_requests == inf else f"; max_bisect_requests leaves {self.max_requests - self.requests:.0f}",
        )


def send_or_bisect(
    rows: Sequence[int], put: Put, budget: BisectBudget, known: Sequence[Answered] = (), keep: Keep = lambda _: None
) -> Flow[list[Rejection]]:
    """Send all rows, at these positions of a slice, that the server takes; returns the others, in their order.

    `known` is what an earlier try kept: it is gone on from there. Raises RequestIsWrong, BisectTooLong, and what `put`
    raises for any status but 400, 413 and 422.
    """
    if known:
        return (yield from _Bisection(rows, put, budget, keep).go_on(known))
    try:
        yield from put(rows)
    except Refused as refusal:
        return (yield from bisect_refused(rows, refusal, put, budget, keep))
    budget.accepted = True
    return []


def bisect_refused(
    rows: Sequence[int], refusal: Refused, put: Put, budget: BisectBudget, keep: Keep = lambda _: None
) -> Flow[list[Rejection]]:
    """Go on as `send_or_bisect` does after a slice was refused as a whole."""
    _check_status(refusal)
    budget.announce(len(rows), refusal)
    return (yield from _Bisection(rows, put, budget, keep).take_apart(refusal))


def _check_status(refusal: Refused) -> None:
    if refusal.status not in (*BAD_ROWS, TOO_LARGE):
        raise refusal


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of which some may be bad. One surely is where `is_bad`, or where no more than `bad_unless` rows are rejected
    when its turn comes: its other half was good, then. Unless `hinted`, what an answer names is not tried any more."""

    rows: Sequence[int]
    is_bad: bool = False
    bad_unless: int | None = None
    hinted: bool = True


class _Bisection:
    def __init__(self, rows: Sequence[int], put: Put, budget: BisectBudget, keep: Keep) -> None:
        self._all, self._put, self._budget, self._keep = rows, put, budget, keep
        self._rejected: dict[int, Rejection] = {}
        self._left: list[_Part] = []

    def take_apart(self, refusal: Refused) -> Flow[list[Rejection]]:
        """After the whole slice was refused."""
        if len(self._all) > 1:  # a retry knows by it that some of the rows may have been sent
            self._keep(Answered(tuple(self._all), refusal.status))
        is_about_rows = self._budget.accepted or not self._budget.probe or refusal.status == TOO_LARGE
        if len(self._all) == 1:
            self._note(self._all, refusal)
        elif is_about_rows or len(self._all) < TRIED_ALONE:
            yield from self._split(_Part(self._all), refusal)
        else:
            yield from self._probe(refusal)
        return (yield from self._work())

    def go_on(self, known: Sequence[Answered]) -> Flow[list[Rejection]]:
        """From what an earlier try knew: what was refused together then, last, is taken apart first."""
        single = {one.rows[0]: one for one in known if one.status and len(one.rows) == 1}
        taken = {row for one in known if not one.status for row in one.rows} - single.keys()
        self._rejected = {row: _rejection(row, one.status, one.reason) for row, one in single.items()}
        self._budget.accepted = self._budget.accepted or bool(taken)
        explained, bad = set(single), list[_Part]()
        for one in reversed(known):
            if one.status in BAD_ROWS and explained.isdisjoint(one.rows):
                bad.append(_Part([row for row in one.rows if row not in taken], is_bad=True))
                explained.update(one.rows)
        rest = [row for row in self._all if row not in taken and row not in explained]
        self._left = [_Part(rest), *reversed(bad)]
        return (yield from self._work())

    def _work(self) -> Flow[list[Rejection]]:
        while self._left:
            part = self._left.pop()
            is_bad = part.is_bad or part.bad_unless == len(self._rejected)
            if is_bad and len(part.rows) > 1:  # no need to ask for it as a whole
                yield from self._split(part, None)
            elif part.rows and (refusal := (yield from self._ask(part.rows))):
                yield from self._split(part, refusal)
        return [self._rejected[row] for row in sorted(self._rejected)]

    def _ask(self, rows: Sequence[int]) -> Flow[Refused | None]:
        refusal = yield from self._try(rows)
        self._note(rows, refusal)
        return refusal

    def _try(self, rows: Sequence[int]) -> Flow[Refused | None]:
        self._budget.spend()
        try:
            yield from self._put(rows)
        except Refused as refusal:
            _check_status(refusal)
            return refusal
        self._budget.accepted = True
        return None

    def _note(self, rows: Sequence[int], refusal: Refused | None) -> None:
        """Remember an answer; a row that was refused alone is rejected."""
        reason = refusal.text if refusal and len(rows) == 1 else ""
        if refusal and len(rows) == 1:
            self._rejected[rows[0]] = _rejection(rows[0], refusal.status, reason)
        self._keep(Answered(tuple(rows), refusal.status if refusal else 0, reason))

    def _split(self, part: _Part, refusal: Refused | None) -> Flow[None]:
        """Take rows apart that were refused with `refusal`, or of which one is known to be bad."""
        rows = part.rows
        if len(rows) == 1:
            return
        if named := self._named(part, refusal):
            yield from self._try_named(rows, named)
            return
        middle, is_about_rows = len(rows) // 2, refusal is None or refusal.status in BAD_ROWS
        bad_unless = len(self._rejected) if is_about_rows else None
        self._left.append(_Part(rows[middle:], bad_unless=bad_unless, hinted=part.hinted))
        self._left.append(_Part(rows[:middle], hinted=part.hinted))

    def _named(self, part: _Part, refusal: Refused | None) -> list[int]:
        """The rows that a refusal seems to name, if it does not name them all."""
        if refusal is None or refusal.status not in BAD_ROWS or not part.hinted:
            return []
        named = [part.rows[index] for index in named_rows(refusal.text, len(part.rows))]
        return named if len(named) < len(part.rows) else []

    def _try_named(self, rows: Sequence[int], named: Sequence[int]) -> Flow[None]:
        """Try rows alone that an answer named, until one of them is taken: then hints are worth nothing."""
        before, tried, is_right = len(self._rejected), set[int](), True
        for row in named:
            if is_right:
                tried.add(row)
                is_right = (yield from self._ask([row])) is not None
        rest = [row for row in rows if row not in tried]
        self._left.append(_Part(rest, is_bad=len(self._rejected) == before, hinted=is_right))

    def _probe(self, refusal: Refused) -> Flow[None]:
        """Try rows from three places alone, which tells whether the request itself is wrong. Raises RequestIsWrong."""
        rows = self._all
        alone = [rows[0], rows[len(rows) // 2], rows[-1]]
        refusals = []
        for row in alone:
            refusals.append((yield from self._try([row])))
        told = [_rejection(row, one.status, one.text) for row, one in zip(alone, refusals, strict=True) if one]
        is_same = len(told) == len(alone) and len({one.reason for one in told}) == 1
        if is_same and not self._budget.accepted_elsewhere():
            raise RequestIsWrong(
                f"{len(alone)} rows from different places were each refused with {told[0].status}, in the same words: "
                f"{told[0].reason}. So the request is wrong, not a row: check primary_key and the columns"
            )
        for row, one in zip(alone, refusals, strict=True):
            self._note([row], one)
        rest = [row for row in rows if row not in alone]
        named = [row for row in self._named(_Part(rows), refusal) if row not in alone]
        if named and not told:
            yield from self._try_named(rest, named)
        else:  # if each of the three was taken, the bad row is among the others
            self._left.append(_Part(rest, is_bad=not told))


def _rejection(row: int, status: int, text: str) -> Rejection:
    return Rejection(row, status, text or "(no text)")
