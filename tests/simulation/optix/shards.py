"""The mapped tasks of a load, each of which has a part of it: it lives for itself, dies, and comes back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger.lease import TargetBusy
from tests.simulation.airflow import NOTICED_AFTER, RETRY_DELAY, Try
from tests.simulation.scheduler import Process
from tests.simulation.target import WrongWorld

if TYPE_CHECKING:
    from tests.simulation.optix.connection import OptixConnection

TRIES = 3


class Numbered(Protocol):
    """A part of a load: a shard of what is sent, or a part of its source."""

    @property
    def number(self) -> int: ...

    @property
    def load_id(self) -> str: ...


PartT = TypeVar("PartT", bound=Numbered)


class MappedTasks(Generic[PartT]):
    """Tasks that are mapped over the parts of one load. `call` is what a try of one does, and `done` how that is
    called. `error` is what failed one of them for good, in its last life."""

    def __init__(
        self,
        target: "OptixConnection",
        one: Try,
        parts: Sequence[PartT],
        call: Callable[[Try, PartT], object],
        done: str,
    ) -> None:
        self._target, self._one, self.parts, self._call, self._done = target, one, parts, call, done
        self._left, self._tries = list(parts), dict.fromkeys((part.number for part in parts), 0)
        self._lives: list[Process] = []
        self.error: Exception | None = None
        self.begin()

    def begin(self) -> None:
        """Let those that are not done live, once more."""
        self.error = None
        spawn, name = self._target.world.scheduler.spawn, self._one.task.name
        self._lives = [spawn(f"airflow {name}, {part}", partial(self._live, part)) for part in self._left]

    def is_under_way(self) -> bool:
        """Whether any of them lives."""
        return not all(life.is_over for life in self._lives)

    def _live(self, part: PartT) -> None:
        world, random = self._target.world, self._target.random
        last: Exception | None = None
        for _ in range(TRIES):
            self._tries[part.number] += 1
            skew = random.choice(world.airflow.workers)
            one = Try(self._one.task, part.load_id, self._tries[part.number], skew, resumed=False, is_shard=True)
            name = f"{one.task.name}, {part}, try {one.try_number}"
            process = world.scheduler.spawn(name, partial(self._run, one, part))
            patience = random.uniform(1.0, 100.0) if world.chaos.does("zombie", 0.05, counts=False) else 100_000.0
            world.scheduler.wait_for(process, patience)
            if process.is_over and not process.is_dead and process.error is None:
                self._left.remove(part)
                world.coverage.has("shards", self._done)
                return
            last = process.error
            if isinstance(last, Exception) and not isinstance(last, OptimoveProviderError | OSError):
                raise WrongWorld(f"{name} raised {type(last).__name__}: {last}") from last
            if isinstance(last, OptimoveProviderError) and not last.retry_helps:
                break
            if last is None:
                world.coverage.has("shards", "dead")
                world.scheduler.pause(random.uniform(*NOTICED_AFTER))
            else:
                world.tell(f"{type(last).__name__}: {last}")
                world.scheduler.pause(60.0 if isinstance(last, TargetBusy) else RETRY_DELAY)
        self.error = last or OSError("a part died as often as it was tried")

    def _run(self, one: Try, part: PartT) -> None:
        self._target.world.tries[self._target.world.scheduler.current] = one
        self._call(one, part)
