"""Writes an emulator's state down: soon after a change, and at the end."""

import sys
import threading
import time
from typing import Any

from optimove_provider.emulator.kept.state_file import StateFile, TooLarge
from optimove_provider.emulator.model.state import State

PAUSE_SECONDS = 1.0
"""From a change until it is written down, and between two files at least."""
_SHARE = 20
"""Large states are written less often: at most a twentieth of the time is spent on it."""


class Keeper:
    """A thread that keeps a state, from `start` until `stop`. `lock` is held while the state is read.

    `state.keeping` says what became of it; what is wrong is also said on stderr, once.
    """

    def __init__(self, file: StateFile, state: State, lock: Any, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._file, self._state, self._lock = file, state, lock
        self._pause = self._least_pause = pause_seconds
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="emulator-keeper", daemon=True)

    def start(self) -> None:
        """Fill the state from the file, and keep it from now on. Raises RuntimeError if another emulator does that."""
        self._file.take()
        self._state.keeping = f"It is kept in {self._file.path}."
        self._tell(self._file.load(self._state))
        self._thread.start()

    def touch(self) -> None:
        """The state may have changed."""
        self._changed.set()

    def stop(self) -> None:
        """Write the state for the last time, and let the file go."""
        self._stopping.set()
        self._changed.set()
        self._thread.join()
        try:
            self._save()
        finally:
            self._file.let_go()

    def _run(self) -> None:
        while self._changed.wait() and not self._stopping.wait(self._pause):
            self._changed.clear()
            self._save()

    def _save(self) -> None:
        began = time.monotonic()
        try:
            with self._lock:
                self._file.write(self._state)
            self._pause = max(self._least_pause, _SHARE * (time.monotonic() - began))
            self._file.replace()
        except RuntimeError:  # the bucket changed meanwhile, which no lock of ours guards
            self._changed.set()
        except (OSError, TooLarge) as error:
            self._tell(f"what the emulator holds could not be written to {self._file.path}: {error}")
        else:
            self._state.keeping, self._told = f"It is kept in {self._file.path}.", ""

    def _tell(self, trouble: str) -> None:
        if trouble:
            self._state.keeping = f"{trouble[0].upper()}{trouble[1:]}."
            if trouble != self._told:
                sys.stderr.write(f"{self._state.keeping}\n")
        self._told = trouble
