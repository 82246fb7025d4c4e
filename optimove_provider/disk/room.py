"""What is said when a disk takes nothing more: which path, how much was to be written, and how much room there is."""

import errno
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import OptimoveProviderError

log = logging.getLogger(__name__)

_WHY: Mapping[int, str] = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "this user's quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "a file may not be as large as that (see `ulimit -f`, or the file system)",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}
_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OF_WRITING = (*_OF_ROOM, errno.EROFS)
"""What only writing can fail of; permission may be denied to read, too."""
_WORDS = {number: os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)}
_DUCKDB_LIMIT = "max_temp_directory_size"  # nine tenths of what was free: DuckDB stops before the disk is full
ELSEWHERE = "make room there, and run again"
_OF_ANOTHER = "let this user write there; where tasks run as several users, set [optimove] staging_mode to group"


class NotWritten(OptimoveProviderError):
    """A disk took no more: full, read-only, or not this user's. What was written before is as it was."""

    retry_helps = True
    then = NextStep.GOES_ON


def not_written(
    error: BaseException, path: str | Path, needed: int = 0, advice: str = ELSEWHERE, done: int = 0
) -> NotWritten | None:
    """The error that says it for people; None if `error` is about something else.

    `needed` bytes, at least, were to be written when it failed, after `done`; 0 if that is not known.
    """
    number = _number_of(error)
    if number is None or not _is_about(error, path):
        return None
    advice = advice if number in OF_WRITING else _OF_ANOTHER
    return NotWritten(f"{path} could not be written: {_WHY[number]}{_room(number, path, needed, done)}; {advice}")


@contextmanager
def telling(path: str | Path, needed: int = 0, advice: str = ELSEWHERE) -> Iterator[None]:
    """Raise NotWritten where what is done in here fails for a reason of the disk that `path` is on."""
    try:
        yield
    except NotWritten:
        raise
    except Exception as error:  # DuckDB's and Arrow's errors are of types of their own
        if told := not_written(error, path, needed, advice):
            raise told from error
        raise


@contextmanager
def keeping(error: BaseException, doing: str) -> Iterator[None]:
    """Around what is tidied up or written down after `error`: that stays the one that is raised. What fails in here is
    noted on it, and in the log."""
    try:
        yield
    except Exception as second:  # of whatever kind: it is not what the load failed of
        error.add_note(f"{doing} failed as well: {second}")
        log.warning("%s failed as well: %s", doing, second)


@contextmanager
def at_the_end(doing: str, do: Callable[[], None]) -> Iterator[None]:
    """Call `do` at the end, whichever way that comes. An error in here stays the one that is raised (`keeping`)."""
    try:
        yield
    except BaseException as error:
        with keeping(error, doing):
            do()
        raise
    do()


def free_bytes(path: str | Path) -> int | None:
    """How much this user may still write where `path` is, or would be; None if that cannot be told."""
    place = Path(path).absolute()
    for folder in (place, *place.parents):
        with suppress(OSError):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
    return None


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno in _WHY:
        return error.errno
    text = str(error)
    if _DUCKDB_LIMIT in text:
        return errno.ENOSPC
    return next((number for number, words in _WORDS.items() if words in text), None)


def _is_about(error: BaseException, path: str | Path) -> bool:
    """Whether it may be about this path, or what is below: an error that names a file names another one otherwise."""
    named = getattr(error, "filename", None)
    return not isinstance(named, str) or Path(named).absolute().is_relative_to(Path(path).absolute())


def _room(number: int, path: str | Path, needed: int, done: int) -> str:
    if number not in _OF_ROOM:
        return ""
    wanted = f"at least {needed:,} bytes more are needed, " if needed else "more room is needed, "
    held, free = f", and it holds {done:,} so far" if done else "", free_bytes(path)
    return f": {wanted}{'an unknown number of' if free is None else f'{free:,}'} bytes are free{held}"
