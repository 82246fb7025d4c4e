"""Threads of a worker, as a world has them: processes of the scheduler that go on in the name of who began them."""

from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from tests.simulation.scheduler import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class Pooled(Future):
    """What one of them is to do, and what became of it."""

    def __init__(self, world: "World", call: Callable[[], Any]) -> None:
        super().__init__()
        self._world, self._call = world, call
        self.process: Process | None = None

    def begin(self, parent: Process) -> None:
        """In a process of its own."""
        self.process = self._world.scheduler.spawn(f"{parent.name} sends", self._run, 0.0, parent)
        self._world.tries[self.process] = self._world.tries[parent]

    def _run(self) -> None:
        try:
            self.set_result(self._call())
        except BaseException as error:
            self.set_exception(error)
            raise

    def result(self, timeout: float | None = None) -> Any:
        """Waits as threads do, while others go on."""
        if not self.done() and self.process:
            self._world.scheduler.wait_for_any([self.process])
        return super().result(0)


class Pool(Executor):
    """At most `size` go on at once."""

    def __init__(self, world: "World", size: int) -> None:
        self._world, self._size = world, size
        self._waiting, self._begun = deque[Pooled](), list[Pooled]()

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future:
        """Begin it, or let it wait for its turn."""
        wanted = Pooled(self._world, lambda: call(*arguments, **named))
        wanted.add_done_callback(lambda _: self._begin_next())
        self._waiting.append(wanted)
        self._begin_next()
        return wanted

    def _begin_next(self) -> None:
        self._begun = [one for one in self._begun if not one.done()]
        while self._waiting and len(self._begun) < self._size:
            self._begun.append(self._waiting.popleft())
            self._begun[-1].begin(self._parent)

    @property
    def _parent(self) -> Process:
        current = self._world.scheduler.current
        return current.parent or current

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As a real one: what is under way comes to its end."""
        if cancel_futures:
            for one in self._waiting:
                one.cancel()
            self._waiting.clear()
        for one in list(self._begun):
            if wait and one.process:
                self._world.scheduler.wait_for_any([one.process])


class Lock:
    """What threads of one process wait for, while the others go on."""

    def __init__(self, world: "World") -> None:
        self._world, self._is_held = world, False

    def __enter__(self) -> None:
        while self._is_held:
            self._world.scheduler.pause(0.1)
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False


def any_done(world: "World", under_way: Collection[Future]) -> set[Future]:
    """Wait until at least one of them is done, as all processes do: others go on."""
    if not any(one.done() for one in under_way):
        world.scheduler.wait_for_any([one.process for one in under_way if isinstance(one, Pooled) and one.process])
    return {one for one in under_way if one.done()}
