"""What a disk does not hold yet, and loses with its power.

That is a new name in a folder that nobody has synced, and what was written to a file that nobody has. It asks what the
code syncs (`os.fsync`), and nothing else. A new file that is synced has its name too, as on ext4 and XFS.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.scheduler import Process
    from tests.simulation.world import World

FLUSHED_AFTER = 30.0
"""Seconds after which a disk has written down what nobody asked it to."""


@dataclass
class _Write:
    """What a process did to a file, whose contents were `before`, None if there was none, and are `after` since.
    `is_new`: it was written in place, so that it may be torn; otherwise another file has got its name."""

    when: float
    process: "Process"
    path: Path
    before: bytes | None
    is_new: bool
    after: bytes | None = None

    @property
    def to_sync(self) -> Path:
        """What has to be synced for it to stay: the file, or the folder that has its name."""
        return self.path if self.is_new else self.path.parent


class Unsynced:
    """Of all processes of a world."""

    def __init__(self, world: "World") -> None:
        self._world, self._writes = world, list[_Write]()

    def begins(self, path: str, is_new: bool) -> None:
        """The process that runs is about to write a file."""
        scheduler, file = self._world.scheduler, Path(path)
        before = None if is_new else _bytes(file)
        self._writes = [one for one in self._writes if one.when + FLUSHED_AFTER > scheduler.clock]
        self._writes.append(_Write(scheduler.clock, scheduler.current.root, file, before, is_new))

    def ends(self, path: str) -> None:
        """It has."""
        file = Path(path)
        for one in self._writes:
            if one.after is None and one.path == file:
                one.after = _bytes(file)

    def sync(self, number: int) -> None:
        """As `os.fsync` does, of a file or a folder."""
        synced = os.fstat(number)
        found = {place for place in {one.to_sync for one in self._writes} if _is(place, synced)}
        self._writes = [one for one in self._writes if one.to_sync not in found]

    def lose(self, process: "Process") -> None:
        """The power is gone: the last of what a process wrote is lost, however much that is."""
        own = [one for one in self._writes if one.process is process]
        self._writes = [one for one in self._writes if one.process is not process]
        for one in reversed(own[self._world.chaos.random.randint(0, len(own)) :]):
            if one.is_new:
                _tear(one.path)
            elif one.after is not None and _bytes(one.path) == one.after:  # or another process has written since
                _put_back(one.path, one.before)
            self._world.tell(f"lost with the power: {one.path.name}")


def _bytes(path: Path) -> bytes | None:
    with suppress(OSError):
        return path.read_bytes()
    return None


def _is(path: Path, found: os.stat_result) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), found)
    return False


def _tear(path: Path) -> None:
    with suppress(OSError):
        os.truncate(path, path.stat().st_size // 2)


def _put_back(path: Path, before: bytes | None) -> None:
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)
