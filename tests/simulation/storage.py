"""Staging as a world has it: each write and each swap is a step, before which others may go on, or a process die."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.loads.compare import key_ranges, same_rows
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.spool import row_digests, row_files, slices
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging

if TYPE_CHECKING:
    from tests.simulation.world import World

SLICE_ROWS = 3
"""Instead of 5000, so that a load of some rows has several slices; one in wide worlds."""
MAX_LAYERS = 4
SAME_FROM_ROWS = 1
KEYS_AT_ONCE = 2
"""So that digests are kept, rows are left out of joins, and what is left has several ranges of keys: in one world of
three, as it takes a third of its time."""
_ERRORS = {"no space": errno.ENOSPC, "I/O error": errno.EIO, "torn write": errno.EIO, "no answer": errno.EIO}
SLOW = 20.0
"""Seconds that a slow read takes at most."""


class SteppedStaging(Staging):
    """Staging of one process."""

    __slots__ = ("world",)

    def __init__(self, world: "World", root: str, surroundings: Any) -> None:
        super().__init__(LocalFileSystem(), root, surroundings)
        object.__setattr__(self, "world", world)

    def _write(self, path: str, body: bytes) -> str:
        torn = lambda: super(SteppedStaging, self)._write(f"{path}.new", body[: len(body) // 2])  # noqa: E731
        return str(self._stepped("write", path, lambda: self._moved(path, body), torn))

    def _moved(self, path: str, body: bytes) -> str:
        place, unsynced = self._at(path), self.world.unsynced
        unsynced.begins(place, is_new=False)
        url = super()._write(path, body)
        unsynced.ends(place)
        return url

    def create(self, path: str, content: dict[str, Any]) -> None:
        self._stepped(
            "create", path, lambda: self._begun(path, lambda: super(SteppedStaging, self).create(path, content))
        )

    def open_new(self, path: str) -> Any:
        return self._stepped(
            "open", path, lambda: self._begun(path, lambda: super(SteppedStaging, self).open_new(path))
        )

    def _begun(self, path: str, writes: Callable[[], Any]) -> Any:
        self.world.unsynced.begins(self._at(path), is_new=True)
        return writes()

    def link(self, path: str, new: str) -> None:
        self._stepped("link", path, lambda: super(SteppedStaging, self).link(path, new))

    def remove_folder(self, path: str) -> None:
        self._stepped("remove", path, lambda: super(SteppedStaging, self).remove_folder(path))

    def read(self, path: str) -> Any:
        """Not where files of rows are opened: a database may be reading them, which no other process must meet then."""
        world: World = self.world
        if world.chaos.of_storage("read"):
            slow = world.chaos.random.uniform(1.0, SLOW)
            world.tell(f"slow read: {_brief(path)}, {slow:.0f} s")
            world.scheduler.pause(slow)
        return super().read(path)

    def _stepped(self, kind: str, path: str, does: Callable[[], Any], torn: Callable[[], Any] | None = None) -> Any:
        world: World = self.world
        world.step(f"{kind} {_brief(path)}")
        fault = world.chaos.of_storage(kind)
        if fault:
            world.tell(f"{fault}: {kind} {_brief(path)}")
            if fault == "torn write" and torn:
                torn()
            raise OSError(_ERRORS[fault], "the storage failed", path)
        return does()


def _brief(path: str) -> str:
    """A path without ids, which differ in no way that matters."""
    return "/".join(part for part in path.split("/") if len(part) < 30)


@contextmanager
def small_and_stepped(world: "World") -> Iterator[None]:
    """While the block lasts, swaps are steps of the world's processes, and slices and stacks of layers are small."""
    real = compare_and_swap.replace

    def replaced(fs: Any, path: str, body: bytes, seen: Any, *rest: Any) -> bool:
        world.step("swap")
        fault = world.chaos.of_storage("swap")
        if fault == "no answer":
            world.tell(f"{fault}: swap")
            raise OSError(errno.EIO, "the storage did not answer")
        done = real(fs, path, body, seen, *rest)
        if fault == "swap done, answer lost":
            world.tell(f"{fault}: {done}")
            raise OSError(errno.EIO, "the storage did not answer")
        return done

    small = [(slices, "MAX_RECORDS", world.slice_rows), (row_files, "ROW_GROUP", world.slice_rows)]
    if world.seed % 3 == 0:
        small += [
            (same_rows, "FROM_ROWS", SAME_FROM_ROWS),
            (same_rows, "MOST_LEFT", 0),
            (row_digests, "FROM_ROWS", SAME_FROM_ROWS),
            (key_ranges, "AT_ONCE", KEYS_AT_ONCE),
        ]
    small += [(compaction, "MAX_LAYERS", MAX_LAYERS), *(one for target in world.targets for one in target.smaller)]
    with pytest.MonkeyPatch.context() as patch, world.coverage.watching():
        patch.setattr(compare_and_swap, "replace", replaced)
        patch.setattr(os, "fsync", world.unsynced.sync)
        for module, name, value in small:
            patch.setattr(module, name, value)
        yield


def as_staging(staging: Staging) -> Staging:
    """The same folder, without steps: for whoever looks at it from outside."""
    return replace(Staging(staging.fs, staging.root), surroundings=staging.surroundings)
