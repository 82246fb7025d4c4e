"""When a long work says how far it is."""

from collections.abc import Callable

PROGRESS_SECONDS = 5.0


class Progress:
    """Tells whether it is time for another line of progress: every few seconds, never at the start."""

    def __init__(self, clock: Callable[[], float], every: float = PROGRESS_SECONDS) -> None:
        self._every, self._clock = every, clock
        self.began = self._told = clock()

    def due(self) -> bool:
        """Whether so much time has passed since the last line; if so, the next one counts from now."""
        now = self._clock()
        if now - self._told < self._every:
            return False
        self._told = now
        return True

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self.began
