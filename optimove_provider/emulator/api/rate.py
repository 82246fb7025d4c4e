"""Rates that are kept, and the answer to who goes beyond them. No I/O here."""

import math
from collections import deque

from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.replies import Refusal


def keep_the_rate(state: State, recent: deque[float], most: int, seconds: float, status: int = 429) -> None:
    """Count a request, and raise the Refusal if there are more than `most` in so many seconds; 0 is no limit.

    Guess: those that are refused here do not count.
    """
    if not most:
        return
    now = state.clock()
    while recent and recent[0] <= now - seconds:
        recent.popleft()
    if len(recent) >= most:
        wait = math.ceil(recent[0] + seconds - now)
        headers = {"retry-after": str(max(1, wait))} if state.switches.retry_after else {}
        raise Refusal(status, "too many requests", headers=headers)
    recent.append(now)
