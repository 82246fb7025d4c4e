"""How long a client asks again: as long as anything succeeds, and for some time after that."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from optimove_provider.clients.http.in_doubt import perhaps_done
from optimove_provider.clients.http.retry_after import seconds_asked_for
from optimove_provider.contract.wire.messages import Answer, Lost, Request, Response
from optimove_provider.contract.wire.success import AnswerMeaning, judge
from optimove_provider.surroundings import REAL, Surroundings

_UNNOTICED = 0.001


@dataclass(frozen=True, slots=True)
class Retries:
    """When a client gives up, and how long it waits before it asks again. Times are in seconds.

    It gives up a request when nothing has succeeded for `give_up_after`, whichever of its requests; and, while others
    succeed, after three times that. `attempts` bounds the tries of one request besides. A wait doubles from
    `first_wait` to `longest_wait`, or to `busy_wait` while others succeed.
    """

    attempts: int | None = None
    first_wait: float = 1.0
    longest_wait: float = 30.0
    busy_wait: float = 5.0
    give_up_after: float = 600.0


TESTING = Retries(give_up_after=15.0)
"""For the Test button: somebody looks at it."""
POLLING = Retries(attempts=5)
"""For sensors, which ask again anyway and bear some failures."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """A server asked to be left alone, up to `until`, by this answer."""

    until: float
    answer: Response


@dataclass(slots=True)
class Patience:
    """What the requests of one client have in common, whichever thread sends them: when the last one got on, and, by
    API, until when its server asked to be left alone (Retry-After of a 429 or 503)."""

    surroundings: Surroundings = REAL
    got_on: float = field(default=float("-inf"))
    holds: dict[str, _Hold] = field(default_factory=dict)

    def begin(self, request: Request, retries: Retries) -> "Tries":
        """Begin to send a request."""
        return Tries(self, request, retries, self.surroundings.monotonic())


@dataclass(slots=True)
class Tries:
    """The tries of one request. `perhaps_done`: an answer of an earlier one was lost, or said nothing of the work."""

    patience: Patience
    request: Request
    retries: Retries
    began: float
    count: int = 0
    perhaps_done: bool = False
    told: str = ""
    asked: float = 0.0

    @property
    def next(self) -> Request:
        """The request, whose answer is not waited for longer than there is patience."""
        return replace(self.request, timeout_seconds=max(self._left, 1.0))

    @property
    def held(self) -> float | Response:
        """Seconds for which the server asked to be left alone, when another request was answered; that answer, if they
        are more than there is patience for."""
        hold = self.patience.holds.get(self._api)
        wait = hold.until - self.patience.surroundings.monotonic() if hold else 0.0
        if hold is None or wait < _UNNOTICED:
            return 0.0
        if wait <= self._left:
            return wait
        self.told, self.asked = self._told(hold.answer, wait, would_wait=True), wait
        return hold.answer

    def wait_after(self, answer: Answer, jitter: float) -> float | None:
        """Seconds until the next try; None if this answer is the last. `jitter` shortens what nobody asked for."""
        self.count += 1
        now = self.patience.surroundings.monotonic()
        if not isinstance(answer, Lost) and judge(answer) in (AnswerMeaning.DONE, AnswerMeaning.REFUSED):
            self.patience.got_on = now
            return None
        asked, left = self._asked(answer), self._left
        if isinstance(answer, Response) and answer.status in (429, 503) and asked:
            self.patience.holds[self._api] = _Hold(now + asked, answer)
        would_wait = self._may_succeed(answer) and self.count != self.retries.attempts
        if not would_wait or left <= 0 or asked > left:
            self.told, self.asked = self._told(answer, asked, would_wait), asked
            return None
        self.perhaps_done = self.perhaps_done or perhaps_done(answer)
        return max(min(self._backoff * jitter, left), asked)

    def last(self, answer: Answer) -> Answer:
        """The last answer, with what is known of the tries before it."""
        times = "once" if self.count == 1 else f"{self.count} times"
        tries = f"tried {times} in {self.patience.surroundings.monotonic() - self.began:.0f} s{self.told}"
        if self.count == 1 and not self.told:
            return answer
        if isinstance(answer, Response):
            return replace(answer, repeated=self.perhaps_done, tries=tries, asked_seconds=self.asked)
        return Lost(f"{answer.reason} ({tries})", sent=answer.sent or self.perhaps_done)

    @property
    def _api(self) -> str:
        return self.request.endpoint.api if self.request.endpoint else ""

    @property
    def _left(self) -> float:
        """For how long there is still patience."""
        span, got_on = self.retries.give_up_after, max(self.patience.got_on, self.began)
        return min(got_on + span, self.began + 3 * span) - self.patience.surroundings.monotonic()

    @property
    def _backoff(self) -> float:
        others_succeed = self.patience.got_on > self.began
        longest = self.retries.busy_wait if others_succeed else self.retries.longest_wait
        return min(self.retries.first_wait * 2.0 ** min(self.count - 1, 16), longest)

    def _may_succeed(self, answer: Answer) -> bool:
        """Whether to send again: what is safe to repeat, or what was certainly not done."""
        if self.request.endpoint is not None and self.request.endpoint.retry_safe:
            return True
        return not perhaps_done(answer)

    def _asked(self, answer: Answer) -> float:
        """The least wait: what Retry-After asks for, or what the endpoint's own documentation does."""
        if isinstance(answer, Lost):
            return 0.0
        endpoint = self.request.endpoint
        least = endpoint.least_wait_seconds if endpoint and answer.status in (429, 503) else 0.0
        return max(least, seconds_asked_for(answer.headers, self.patience.surroundings.now()))

    def _told(self, answer: Answer, asked: float, would_wait: bool) -> str:
        """Why there is no other try, and what the answer asks for."""
        left = max(self._left, 0.0)
        if not asked:
            return ", until nothing had succeeded for give_up_after" if would_wait else ""
        header = (
            answer.shown(answer.headers.get("retry-after", "").strip(), 100) if isinstance(answer, Response) else ""
        )
        if not header and not would_wait:
            return ""
        wanted = f"Retry-After: {header}" if header else f"a wait of {asked:.0f} s"
        and_left = f", and give_up_after leaves {left:.0f} s" if would_wait else ""
        return f"; the answer asks for {wanted}{and_left}{_from(self.patience.surroundings.now(), asked)}"


def _from(now: datetime, seconds: float) -> str:
    """From when on it may be tried again; nothing where the calendar does not reach."""
    try:
        return f"; it may be tried again from {now + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC on"
    except OverflowError:
        return ""
