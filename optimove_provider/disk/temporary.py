"""Temporary folders that do not outlive their owner: removed at the end, or by whoever comes next.

Customers' ids lie in them. So the owner of a folder locks a file in it, and a process that was killed has let go of its
lock: the next one that makes a temporary folder removes the folders of this user that nobody holds. It asks the kernel
and no process id, which another machine or container may have too, and never takes what a living process uses.
"""

import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from optimove_provider.disk.room import not_written, telling

log = logging.getLogger(__name__)

PREFIX = "optimove-"
LOCK = "owner.lock"
_ENTRY = re.compile(r"beyond-memory|[0-9]+\.arrow|from-[0-9]+")
"""What older versions left in their folders: a folder that people named alike holds something else."""
FORGOTTEN_SECONDS = 24 * 3600
"""After so long without a change, a folder without a lock goes too: of an older version, or of a disk without locks."""

ADVICE = "make room there, or set TMPDIR to a folder on a larger disk, and run again"


class TemporaryFolder:
    """A folder that only this user can read, at `path`: it goes when this is closed, or collected, or the process ends.

    `inside` is where it is made; None for the system's folder (TMPDIR).
    """

    def __init__(self, prefix: str = PREFIX, inside: Path | None = None) -> None:
        sweep(inside)
        with telling(inside or tempfile.gettempdir(), advice=ADVICE):
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=inside))
            self._close = weakref.finalize(self, _remove, self.path, _lock(self.path), os.getpid())

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Raise NotWritten where what is done in here fails for a reason of the disk."""
        try:
            yield
        except Exception as error:  # DuckDB's and Arrow's errors are of types of their own
            if told := not_written(error, self.path, 0, ADVICE, size_of(self.path)):
                raise told from error
            raise

    def close(self) -> None:
        """Remove it. May be called twice."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder, and in those below."""
    found = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it went meanwhile
            found += path.stat().st_size if path.is_file() else 0
    return found


def sweep(inside: Path | None = None) -> None:
    """Remove the temporary folders of this user that a process has left behind which was killed."""
    try:
        with os.scandir(inside or tempfile.gettempdir()) as found:
            old = [Path(one.path) for one in found if one.name.startswith(PREFIX)]
    except OSError:
        return
    for folder in old:
        with suppress(OSError):
            _sweep(folder)


def _sweep(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        if _is_of_older_version(folder) and time.time() - _last_change(folder) > FORGOTTEN_SECONDS:
            _remove_left(folder)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody lives there
        _remove_left(folder)
    finally:
        os.close(lock)


def _is_of_older_version(folder: Path) -> bool:
    return folder.name.startswith(f"{PREFIX}ids-") or all(_ENTRY.fullmatch(one.name) for one in folder.iterdir())


def _remove_left(folder: Path) -> None:
    _remove_tree(folder)
    log.info("%s was left behind by a process that was killed: removed", folder)


def _last_change(folder: Path) -> float:
    times = [folder.lstat().st_mtime]
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            times.append(path.lstat().st_mtime)
    return max(times)


def _lock(folder: Path) -> int | None:
    """Lock a file in the folder before it has its name, so that nobody ever sees it unlocked; None without locks."""
    new = folder / f"{LOCK}.new"
    number = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / LOCK)
    except OSError:
        os.close(number)
        new.unlink(missing_ok=True)
        return None
    return number


def _remove(folder: Path, lock: int | None, owner: int) -> None:
    if os.getpid() != owner:  # a child, which has this from its parent: the folder is not its own
        return
    _remove_tree(folder)
    if lock is not None:
        os.close(lock)


def _remove_tree(folder: Path) -> None:
    """Remove a folder, its lock last: where this breaks off, the next one goes on."""
    with suppress(FileNotFoundError):
        for one in folder.iterdir():
            if one.name != LOCK:
                shutil.rmtree(one, ignore_errors=True) if one.is_dir() and not one.is_symlink() else one.unlink()
    shutil.rmtree(folder, ignore_errors=True)
