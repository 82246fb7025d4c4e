"""Files that commands write: complete under their names or not there at all, and never over what is read."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.disk.modes import open_private
from optimove_provider.disk.room import telling

_NEW, _LOCKED = ".optimove-new-", ".optimove-output-"
_STDIN = Path("/dev/stdin")
_DEVICES, _PROCESSES = Path("/dev"), Path("/proc")


def check_outputs(inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Find out before long work whether its results can be written, and that none is an input or another output, under
    whatever name or link. An input is a path, a URL, or - for what stdin is read from. Raises SettingsError.
    """
    taken = [_path_of(name) for name in inputs]
    for name in outputs:
        if not name:
            raise SettingsError("an output without a name: give a file in a folder that exists")
        path = Path(name)
        if any(_same(path, other) for other in taken):
            raise SettingsError(
                f"{str(path)!r} is named twice, or is another name of the same file: give each output one of its own"
            )
        if _is_stream(path):
            continue
        if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise SettingsError(f"{str(path)!r} cannot be written: give a file in a folder that exists")
        taken.append(path)


@contextmanager
def written_files(paths: Sequence[str]) -> Iterator[list[BinaryIO]]:
    """Open files that get their names when all of them are complete; until then, and after a failure, what was there
    stays. A link is replaced, not written through. Devices and pipes are written to as they are.

    What is under way has a new name beside the target, which nobody can foresee, and only its owner may read it. It is
    locked meanwhile, so that what a process left behind which was killed is known, and removed here.
    """
    targets = [Path(path) for path in paths]
    for folder in {target.parent for target in targets if not _is_stream(target)}:
        _sweep(folder)
    with ExitStack() as under_way:
        names = [target if _is_stream(target) else _new_name(target.parent, under_way) for target in targets]
        files = [
            under_way.enter_context(open_private(name, shown=target))
            for name, target in zip(names, targets, strict=True)
        ]
        yield list(files)
        for file in files:
            file.close()
        for name, target in zip(names, targets, strict=True):
            if name != target:
                name.replace(target)


def _new_name(folder: Path, stack: ExitStack) -> Path:
    with telling(folder):
        number, name = tempfile.mkstemp(prefix=_NEW, dir=folder)
    stack.callback(os.close, number)
    path = _locked(number, Path(name))
    stack.callback(path.unlink, missing_ok=True)
    return path


def _locked(number: int, path: Path) -> Path:
    """The file under the name of a locked one, so that nobody sees it unlocked there; as it is without locks."""
    with suppress(OSError):
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.rename(path.with_name(path.name.replace(_NEW, _LOCKED, 1)))
    return path


def _sweep(folder: Path) -> None:
    """Remove this user's files that nobody writes any more, and that never got their names: customers are in them."""
    with suppress(OSError), os.scandir(folder) as found:
        for path in [one.path for one in found if one.name.startswith(_LOCKED)]:
            with suppress(OSError):
                _remove_left(path)


def _remove_left(path: str) -> None:
    number = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        about = os.fstat(number)
        if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid():
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody writes it
            os.unlink(path)
    finally:
        os.close(number)


def _path_of(name: str) -> Path:
    """The file on this machine that an input is; a name that no file has if it is elsewhere."""
    if name == "-":
        return _STDIN
    scheme, slashes, place = name.partition("://")
    if not slashes or scheme.casefold() not in ("file", "local"):
        return Path(name)
    connection, at, path = place.partition("@")  # file://conn_id@/folder/name
    return Path(path if at and "/" not in connection else place)


def _is_stream(path: Path) -> bool:
    """Whether it is no regular file, so that nothing can take its place. /dev/stdout and /dev/fd/3 are names of what is
    open, even where that is a regular file; below /dev/shm lie files like any others.
    """
    folder = path.absolute().parent.resolve()
    if folder == _DEVICES or folder.is_relative_to(_PROCESSES):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other) and not _is_stream(one)
    except OSError:
        return one.resolve() == other.resolve()
