"""One vendor's conversations, run with one connection's settings."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Generic, Self, TypeVar

from optimove_provider.clients.http.drive import Budget, Send, arun, polite, run
from optimove_provider.clients.http.in_doubt import ChangesInDoubt
from optimove_provider.clients.http.patience import Patience, Retries
from optimove_provider.clients.http.transport import Transport
from optimove_provider.clients.settings import Settings
from optimove_provider.clients.timeline import Timeline
from optimove_provider.contract.wire.errors import ApiError, Unreachable, UnreadableAnswer
from optimove_provider.contract.wire.messages import Answer, Flow, Lost, Request, T
from optimove_provider.contract.wire.outside import MAX_TEXT, cut, redact
from optimove_provider.contract.wire.shown import shown
from optimove_provider.surroundings import REAL, Surroundings

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Settings)


class Client(Generic[S]):
    """Runs flows with the settings' keys, retries and rate. Close it, or use it in a `with` statement.

    `send` replaces HTTP, for instance by the emulator in process. `timeline` counts its answers.
    """

    def __init__(
        self,
        settings: S,
        send: Send | None = None,
        retries: Retries | None = None,
        surroundings: Surroundings = REAL,
    ):
        self.settings, self._surroundings = settings, surroundings
        self._retries, self._patience = retries or Retries(), Patience(surroundings)
        self._budget = Budget(settings.requests_per_10s, surroundings.monotonic)
        self._transport = Transport(settings.timeout_seconds)
        self._send = send or self._transport
        self.timeline = Timeline(surroundings)
        self._in_doubt = ChangesInDoubt(surroundings)
        self._learnt: tuple[str, ...] = ()
        for warning in settings.warnings:
            log.warning("%s", warning)

    def run(
        self, flow: Flow[T], may_send: Callable[[], None] = lambda: None, give_up_after: timedelta | None = None
    ) -> T:
        """Run a flow, blocking. `may_send` is asked before each request, repeated ones too, and may raise.

        `give_up_after`, if it is given, takes the place of the client's own.
        """

        def send(request: Request) -> Answer:
            may_send()
            return self._exchange(request)

        with self._named():
            return run(self._polite(flow, give_up_after), send, self._surroundings.sleep)

    async def arun(self, flow: Flow[T], threads: Executor | None = None) -> T:
        """Run a flow from an event loop, for instance a trigger's; `threads` are those that work and wait meanwhile."""
        with self._named():
            return await arun(self._polite(flow), self._exchange, threads=threads)

    def in_doubt_for(self) -> timedelta:
        """For how long a change of this client's may still be carried out whose answer did not come; zero mostly."""
        return self._in_doubt.left

    def keep_to(self, budget: Budget) -> None:
        """From here on keep to this rate, which others may share."""
        self._budget = budget

    def learn(self, *secrets: str) -> None:
        """From here on these are struck out, too."""
        self._learnt = tuple(dict.fromkeys((*self._learnt, *filter(None, secrets))))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let an error of the vendor name the connection and the next step."""
        try:
            yield
        except (ApiError, Unreachable, UnreadableAnswer) as error:
            keys = self.settings.key_names(error.endpoint)
            error.args = (cut(f"connection {self.settings.conn_id!r}: {error}. {error.next_step.format(keys=keys)}"),)
            raise

    def _polite(self, flow: Flow[T], give_up_after: timedelta | None = None) -> Flow[T]:
        retries = self._retries
        if give_up_after is not None:
            retries = replace(retries, give_up_after=give_up_after.total_seconds())
        return polite(flow, retries, self._budget, self._patience)

    def _exchange(self, request: Request) -> Answer:
        """Send with the keys; whatever comes back knows what is never to be shown of it.

        Raises UnreadableAnswer for a success that is too long to be read.
        """
        secrets = (*self.settings.struck_out, *self._learnt)
        addressed = self.settings.address(request)
        answer = None
        try:
            answer = self._send(addressed)
        finally:
            self._in_doubt.see(request, answer)
        self.timeline.see(answer)
        if isinstance(answer, Lost):
            return replace(answer, reason=shown(redact(answer.reason, secrets, MAX_TEXT)))
        answer = replace(answer, secrets=secrets, url=addressed.url)
        if answer.is_cut and answer.ok and request.endpoint:
            raise UnreadableAnswer(request.endpoint, answer, "an end: no answer of the vendor's is so long")
        return answer
