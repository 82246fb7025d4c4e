"""Being told to end: SIGTERM and SIGHUP become an exception, so that what is open is removed on the way out."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.5


class Stopped(BaseException):
    """The process was told to end. No Exception: nothing on the way may take it for a failure of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """What a shell says of a process that a signal ended: 143 for SIGTERM, 129 for SIGHUP."""


@contextmanager
def stopping() -> Iterator[None]:
    """Raise Stopped in the main thread when a signal to end comes. One that is ignored (nohup) or handled stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    stop = _Stop()
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    except Exception as error:  # what a library makes of being interrupted
        stop.raise_if_told(error)
        raise
    finally:
        stop.end()
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
    stop.raise_if_told()


class _Stop:
    """Raises Stopped, again and again until it arrives: a library that was calling us back may drop an exception."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._told, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="optimove-stop", daemon=True)
        self._thread.start()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._number = self._number or number
        self._told.set()
        if not _is_tidying():
            raise Stopped(self._number)

    def _repeat(self) -> None:
        self._told.wait()
        while self._number and not self._ended.wait(_AGAIN_SECONDS):
            signal.pthread_kill(threading.main_thread().ident or 0, self._number)

    def end(self) -> None:
        self._ended.set()
        self._told.set()
        self._thread.join()

    def raise_if_told(self, cause: BaseException | None = None) -> None:
        if self._number:
            raise Stopped(self._number) from cause


def _is_tidying() -> bool:
    """Whether what was interrupted is on the way out already, because of an earlier signal."""
    error = sys.exception()
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error is not None
