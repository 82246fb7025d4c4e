"""For how long a change may still be carried out whose answer did not come: a slow server, or a proxy, may have it yet.

What arrives so late overwrites what somebody else has written meanwhile, and no vendor documents a way to prevent that.
So whoever sent it keeps others away for as long.
"""

from datetime import timedelta

from optimove_provider.contract.wire.messages import Answer, Lost, Request
from optimove_provider.contract.wire.success import AnswerMeaning, judge
from optimove_provider.surroundings import Surroundings

LASTS = timedelta(seconds=60)
"""Assumed: as long as proxies and balancers wait for the server behind them, unless they are told otherwise."""


def perhaps_done(answer: Answer) -> bool:
    """Whether the work may be done, now or later, although the answer does not say so."""
    return answer.sent if isinstance(answer, Lost) else judge(answer) is AnswerMeaning.IN_DOUBT


class ChangesInDoubt:
    """When the last change of a client went without a clear answer. Threads may share it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._monotonic, self._since = surroundings.monotonic, float("-inf")

    def see(self, request: Request, answer: Answer | None) -> None:
        """Take note of an answer; None: whoever waited for it was interrupted."""
        if request.method != "GET" and (answer is None or perhaps_done(answer)):
            self.begin()

    def begin(self) -> None:
        """A change was asked for just now, and there is no clear answer."""
        self._since = self._monotonic()

    @property
    def left(self) -> timedelta:
        """For how long a change may still be carried out; zero mostly."""
        return LASTS - timedelta(seconds=min(self._monotonic() - self._since, LASTS.total_seconds()))
