"""Staging as a world has it: each write and each swap is a step, before which others may go on, or a process die."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.spool import row_files, slices
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging

if TYPE_CHECKING:
    from tests.simulation.world import World

SLICE_ROWS = 3
"""Instead of 5000, so that a load of some rows has several slices."""
MAX_LAYERS = 4


class SteppedStaging(Staging):
    """Staging of one process."""

    __slots__ = ("world",)

    def __init__(self, world: "World", root: str, surroundings: Any) -> None:
        super().__init__(LocalFileSystem(), root, surroundings)
        object.__setattr__(self, "world", world)

    def _write(self, path: str, body: bytes) -> str:
        return str(self._stepped(f"write {_brief(path)}", lambda: super(SteppedStaging, self)._write(path, body)))

    def create(self, path: str, content: dict[str, Any]) -> None:
        self._stepped(f"create {_brief(path)}", lambda: super(SteppedStaging, self).create(path, content))

    def open_new(self, path: str) -> Any:
        return self._stepped(f"open {_brief(path)}", lambda: super(SteppedStaging, self).open_new(path))

    def link(self, path: str, new: str) -> None:
        self._stepped(f"link {_brief(path)}", lambda: super(SteppedStaging, self).link(path, new))

    def remove_folder(self, path: str) -> None:
        self._stepped(f"remove {_brief(path)}", lambda: super(SteppedStaging, self).remove_folder(path))

    def _stepped(self, what: str, does: Callable[[], Any]) -> Any:
        world: World = self.world
        world.step(what)
        fault = world.chaos.of_write()
        if fault == "no space":
            world.tell(f"{fault}: {what}")
            raise OSError(errno.ENOSPC, "No space left on device", what)
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
        fault = world.chaos.of_write()
        if fault == "no answer":
            world.tell(f"{fault}: swap")
            raise OSError(errno.EIO, "the storage did not answer")
        done = real(fs, path, body, seen, *rest)
        if fault == "swap done, answer lost":
            world.tell(f"{fault}: {done}")
            raise OSError(errno.EIO, "the storage did not answer")
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_and_swap, "replace", replaced)
        for module, name, value in (
            (slices, "MAX_RECORDS", SLICE_ROWS),
            (row_files, "ROW_GROUP", SLICE_ROWS),
            (compaction, "MAX_LAYERS", MAX_LAYERS),
            *(one for target in world.targets for one in target.smaller),
        ):
            patch.setattr(module, name, value)
        yield


def as_staging(staging: Staging) -> Staging:
    """The same folder, without steps: for whoever looks at it from outside."""
    return replace(Staging(staging.fs, staging.root), surroundings=staging.surroundings)
