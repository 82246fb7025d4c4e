"""Files and folders that nobody but their owner can read, or the group: whatever the umask is."""

import io
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from optimove_provider.disk.room import ELSEWHERE, keeping, not_written

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

log = logging.getLogger(__name__)

_ACCESS = 0o777


@dataclass(frozen=True, slots=True)
class Modes:
    """The modes of files and of folders."""

    file: int
    folder: int


PRIVATE = Modes(0o600, 0o700)
GROUP = Modes(0o660, 0o2770)
"""New files belong to the folder's group (setgid)."""
MODES = {"private": PRIVATE, "group": GROUP}


class _File(io.FileIO):
    """A file that says what a disk lacks when it takes no more."""

    def __init__(self, path: str, mode: str, modes: Modes, advice: str, shown: str | Path) -> None:
        super().__init__(path, mode, opener=partial(_opened, modes=modes))
        self._shown, self._advice = shown, advice

    def write(self, data: "ReadableBuffer") -> int:
        """Write, or raise NotWritten."""
        try:
            return super().write(data)
        except OSError as error:
            done = self.tell() if self.seekable() else 0
            told = not_written(error, self._shown, memoryview(data).nbytes, self._advice, done)
            raise (told or error) from error


class _Writer(io.BufferedWriter):
    """Where it is closed because of an error, that stays the one that is raised. `syncs`: what was written survives a
    loss of power, once it is closed."""

    def __init__(self, file: _File, syncs: bool) -> None:
        super().__init__(file, 1 << 17)
        self._syncs = syncs

    def close(self) -> None:
        """Close it; nothing happens where it is closed."""
        try:
            if self._syncs and not self.closed:
                self.flush()
                os.fsync(self.fileno())
        finally:
            super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with keeping(error, "to close a file"):
            self.close()


def open_private(
    path: str | Path,
    modes: Modes = PRIVATE,
    mode: str = "w",
    advice: str = ELSEWHERE,
    shown: str | Path | None = None,
    syncs: bool = False,
) -> BinaryIO:
    """A binary file to write ("w"), to create ("x") or to append to ("a"), with these modes from its first byte on.

    One that is there already gets them, if it is this user's. Raises NotWritten where the disk takes no more; `shown`
    is what it calls the file, if people know it by another name. `syncs`: once it is closed, what was written is there
    to stay.
    """
    try:
        return _Writer(_File(os.fspath(path), mode, modes, advice, shown or path), syncs)
    except OSError as error:
        if told := not_written(error, path, 0, advice):
            raise told from error
        raise


def _opened(path: str, flags: int, modes: Modes) -> int:
    number = os.open(path, flags, modes.file)
    with suppress(PermissionError):  # somebody else's, who may have a group write there
        if stat.S_ISREG(os.fstat(number).st_mode):
            os.fchmod(number, modes.file)
    return number


def make_folders(folder: str | Path, modes: Modes = PRIVATE, below: str | Path | None = None) -> None:
    """Make a folder and those above it that are missing; all that are made have these modes.

    It gets them with all that is in it if it was there with others, and so do the folders above it as far as, but not
    with, `below`.
    """
    folder = Path(folder)
    parts = folder.relative_to(below).parts if below is not None and folder.is_relative_to(below) else ()
    above = [Path(below or "", *parts[:count]) for count in range(1, len(parts))]
    for one in (*above, folder):
        _make_folder(one, modes)


def _make_folder(folder: Path, modes: Modes) -> None:
    try:
        found = folder.stat()
    except FileNotFoundError:
        _make_new(folder, modes)
        return
    if (found.st_mode ^ modes.folder) & _ACCESS:
        set_modes(folder, modes)


def _make_new(folder: Path, modes: Modes) -> None:
    if not folder.parent.exists():
        _make_new(folder.parent, modes)
    try:
        folder.mkdir(modes.folder)
        folder.chmod(modes.folder)
    except FileExistsError:
        return  # another one was faster
    except OSError as error:
        if told := not_written(error, folder):
            raise told from error
        raise


_TRIED: set[tuple[int, int]] = set()
"""Folders, by device and inode, whose modes this process has set: on some disks they do not last."""


def set_modes(top: Path, modes: Modes) -> None:
    """Give a folder and all that is in it these modes; the log says what remains open to others. Links are left."""
    found = top.stat()
    if (found.st_dev, found.st_ino) in _TRIED:
        return
    _TRIED.add((found.st_dev, found.st_ino))
    refused = [path for path, mode in _below(top, modes) if not _has_mode(path, mode)]
    if refused:
        log.warning(
            "%s could not be given the mode of [optimove] staging_mode, nor could %d more: perhaps they belong to "
            "another user, or the disk keeps no modes. Others may be able to read them: let their owner run chmod",
            refused[0],
            len(refused) - 1,
        )


def _below(top: Path, modes: Modes) -> Iterator[tuple[str, int]]:
    yield str(top), modes.folder
    for folder, folders, files in os.walk(top):
        yield from ((os.path.join(folder, name), modes.folder) for name in folders)
        yield from ((os.path.join(folder, name), modes.file) for name in files)


def _has_mode(path: str, mode: int) -> bool:
    """Set a mode, and tell whether nobody has more access now than it gives."""
    with suppress(FileNotFoundError):  # swept meanwhile
        found = os.lstat(path).st_mode
        if stat.S_ISDIR(found) or stat.S_ISREG(found):
            with suppress(PermissionError, NotImplementedError):
                os.chmod(path, mode)
            return not os.lstat(path).st_mode & _ACCESS & ~mode
    return True


@contextmanager
def removed_if_broken(path: str | Path) -> Iterator[None]:
    """Remove a file that could not be written to its end."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
