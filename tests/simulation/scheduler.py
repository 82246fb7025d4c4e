"""Many processes in one thread, on a virtual clock. A seed decides at each step who goes on, and when.

A process is a greenlet. It gives way at every `pause`: then whoever is due next goes on, and nothing else passes time.
"""

import heapq
from collections.abc import Callable, Collection, Iterator
from itertools import count
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet

_LONG = 1_000_000.0


class Killed(BaseException):
    """The process is gone: whatever it tries to do on its way out, it does not do."""


class Stuck(AssertionError):
    """Virtual time went by, or steps were made, and there is no end to it."""


class Process:
    """Something that goes on beside others. What it has begun in its own name dies with it."""

    def __init__(
        self, scheduler: "Scheduler", name: str, call: Callable[[], Any], parent: "Process | None" = None
    ) -> None:
        self.scheduler, self.name, self._call, self.parent = scheduler, name, call, parent
        self.is_dead, self.is_over, self.wakes, self.frozen_until = False, False, 0, 0.0
        self.children, self.waiting = list[Process](), list[Process]()
        self.result: Any = None
        self.error: Exception | None = None
        self.greenlet = greenlet(self._run, scheduler.hub)

    def _run(self) -> None:
        try:
            self.result = self._call()
        except Killed:
            self.is_dead = True
        except Exception as error:
            self.error = error
        self.is_over = True
        for child in self.children:
            child.kill()
        for one in tuple(self.waiting):
            self.scheduler.wake(one)

    def forget(self, one: "Process") -> None:
        """Somebody does not wait for this one any more."""
        self.waiting = [other for other in self.waiting if other is not one]

    @property
    def root(self) -> "Process":
        """The process that this one goes on in the name of: itself, or who began it."""
        return self.parent.root if self.parent else self

    def family(self) -> "Iterator[Process]":
        """This one, and all that go on in its name."""
        yield self
        for child in self.children:
            yield from child.family()

    def kill(self) -> None:
        """From now on it does nothing any more; nor do its children."""
        if not (self.is_over or self.is_dead):
            self.is_dead = True
            self.scheduler.wake(self)
        for child in self.children:
            child.kill()


class Scheduler:
    """The clock, in seconds since it began, and whoever waits for it."""

    def __init__(self, random: Random, most_steps: int) -> None:
        self.random, self.clock, self.steps = random, 0.0, 0
        self.trace: list[str] = []
        self._most_steps = most_steps
        self.hub, self._running = getcurrent(), dict[greenlet, Process]()
        self._due: list[tuple[float, int, int, Process]] = []
        self._order = count()

    @property
    def current(self) -> Process:
        """Who runs."""
        return self._running[getcurrent()]

    def spawn(self, name: str, call: Callable[[], Any], after: float = 0.0, parent: Process | None = None) -> Process:
        """Begin a process, some seconds from now."""
        process = Process(self, name, call, parent)
        process.frozen_until = parent.frozen_until if parent else 0.0
        self._running[process.greenlet] = process
        if parent:
            parent.children.append(process)
        self._wake_after(process, after)
        return process

    def pause(self, seconds: float) -> None:
        """Give way for so long. Raises Killed where the process was killed meanwhile."""
        process = self.current
        if not process.is_dead:
            self._wake_after(process, seconds)
            self.hub.switch()
        if process.is_dead:
            raise Killed

    def wake(self, process: Process) -> None:
        """Let a process that waits go on at once."""
        if process.greenlet is not getcurrent():
            self._wake_after(process, 0.0)

    def freeze(self, process: Process, seconds: float) -> None:
        """Let a process and its children stand still for so long from now."""
        for one in process.family():
            one.frozen_until = self.clock + seconds

    def _wake_after(self, process: Process, seconds: float) -> None:
        process.wakes += 1
        heapq.heappush(self._due, (self.clock + seconds, next(self._order), process.wakes, process))

    def wait_for(self, process: Process, most: float) -> bool:
        """Wait until a process is over, or for so long at most, or until somebody wakes who waits; tells whether it is
        over."""
        if not process.is_over:
            process.waiting.append(self.current)
            self.pause(most)
            process.forget(self.current)
        return process.is_over

    def wait_for_any(self, processes: Collection[Process]) -> None:
        """Wait until at least one of them is over."""
        while not any(one.is_over for one in processes):
            for one in processes:
                one.waiting.append(self.current)
            self.pause(_LONG)
            for one in processes:
                one.forget(self.current)

    def run(self, until: float) -> None:
        """Let all go on until none is left, and to that time at most. Raises Stuck."""
        while self._due:
            due, _, wakes, process = heapq.heappop(self._due)
            if process.is_over or wakes != process.wakes:
                continue
            if process.frozen_until > due and not process.is_dead:
                heapq.heappush(self._due, (process.frozen_until, next(self._order), wakes, process))
                continue
            self.clock, self.steps = max(self.clock, due), self.steps + 1
            if self.clock > until or self.steps > self._most_steps:
                raise Stuck(
                    f"no end after {self.clock / 3600:.1f} virtual hours and {self.steps} steps: {process.name}"
                )
            process.greenlet.switch()
            if process.is_over:
                del self._running[process.greenlet]

    def tell(self, what: str) -> None:
        """A line of the trace."""
        name = self._running[getcurrent()].name if getcurrent() in self._running else "-"
        self.trace.append(f"{self.clock:11.3f} {name:24} {what}")
