"""The file of an emulator's state: written whole beside it and renamed, so that it is the old one or the new one."""

import fcntl
import os
from pathlib import Path

from optimove_provider.emulator.kept.lines import Unreadable, read_into, written
from optimove_provider.emulator.model.state import State

MOST_BYTES = 256 * 2**20
"""A state that takes more is not kept."""


class TooLarge(Exception):
    """The state takes more bytes than a file may have."""


class StateFile:
    """A file that belongs to one emulator at a time, from `take` until `let_go`; only its user can read it."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path, self._most_bytes = path.absolute(), most_bytes
        self._lock: int | None = None

    def take(self) -> None:
        """Raises RuntimeError if another emulator has it, OSError if it cannot be written there."""
        self.path.parent.mkdir(0o700, parents=True, exist_ok=True)
        lock = _private(str(self._beside("lock")), os.O_CREAT | os.O_WRONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise RuntimeError(f"{self.path} belongs to an emulator that is running: stop that one first") from None
        self._lock = lock

    def let_go(self) -> None:
        """Let another emulator take it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self, state: State) -> str:
        """Fill a state that is empty, if there is a file. Returns what is to be said of one that cannot be read: it is
        set aside, and the state stays empty."""
        if not self.path.exists():
            return ""
        try:
            if self.path.stat().st_size > self._most_bytes:
                raise Unreadable(f"it has more than {self._most_bytes} bytes")
            with self.path.open(encoding="ascii") as lines:
                read_into(state, lines)
        except ValueError as error:  # a byte that is no ASCII, too
            aside = next(path for number in range(1, 10**6) if not (path := self._beside(f"broken-{number}")).exists())
            self.path.rename(aside)
            state.reset()
            return f"{self.path} cannot be read ({error}). It is {aside} now, and the emulator is empty"
        return ""

    def write(self, state: State) -> None:
        """Write the state beside the file. Raises TooLarge, or OSError."""
        left = self._most_bytes
        with open(self._beside("new"), "w", encoding="ascii", opener=_private) as file:
            for line in written(state):
                if (left := left - len(line) - 1) < 0:
                    raise TooLarge(f"what it holds takes more than {self._most_bytes} bytes")
                file.write(line + "\n")

    def replace(self) -> None:
        """Let what was written be the file."""
        new = self._beside("new")
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(self.path)

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
