"""One vendor's conversations, run with one connection's settings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Generic, Self, TypeVar

from optimove_provider.clients.drive import Budget, Send, arun, polite, run
from optimove_provider.clients.patience import Patience, Retries
from optimove_provider.clients.settings import Settings
from optimove_provider.clients.transport import Transport
from optimove_provider.contract.wire.errors import ApiError, AuthenticationError, Unreachable
from optimove_provider.contract.wire.messages import Answer, Flow, Lost, Request, T
from optimove_provider.contract.wire.success import AnswerMeaning, judge
from optimove_provider.surroundings import REAL, Surroundings

S = TypeVar("S", bound=Settings)


class Client(Generic[S]):
    """Runs flows with the settings' keys, retries and rate. Close it, or use it in a `with` statement.

    `send` replaces HTTP, for instance by the emulator in process.
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

    async def arun(self, flow: Flow[T]) -> T:
        """Run a flow from an event loop, for instance a trigger's."""
        with self._named():
            return await arun(self._polite(flow), self._exchange)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let an error of the vendor name the connection, and for a refused key the header that holds it."""
        try:
            yield
        except (ApiError, Unreachable) as error:
            text = f"connection {self.settings.conn_id!r}: {error}"
            if isinstance(error, AuthenticationError):
                names = " and ".join(self.settings.credentials(error.endpoint)) or "upload_history_url"
                text += f". Check that {names} in the connection is right and not expired"
            error.args = (text,)
            raise

    def _polite(self, flow: Flow[T], give_up_after: timedelta | None = None) -> Flow[T]:
        retries = self._retries
        if give_up_after is not None:
            retries = replace(retries, give_up_after=give_up_after.total_seconds())
        return polite(flow, retries, self._budget, self._patience)

    def _exchange(self, request: Request) -> Answer:
        """Send with the keys; what comes back as a failure has them struck out, for it will be shown."""
        answer = self._send(self.settings.address(request))
        if isinstance(answer, Lost):
            return replace(answer, reason=self.settings.redact(answer.reason))
        done = judge(answer) is AnswerMeaning.DONE
        return answer if done else replace(answer, body=self.settings.redact(answer.text).encode())
