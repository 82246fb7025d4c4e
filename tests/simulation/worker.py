"""A worker as a world has it: its clock, its sleep, its ids and its threads, which are processes of the scheduler."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from optimove_provider.surroundings import Surroundings
from tests.simulation.pool import Pool, any_done
from tests.simulation.scheduler import Process
from tests.support.virtual_time import AtOnce

if TYPE_CHECKING:
    from tests.simulation.world import World

BEGAN = datetime(2020, 3, 1, tzinfo=UTC)
"""When a world begins, by a clock that is right."""


@dataclass(eq=False)
class Skew:
    """By how many seconds the clock of one worker is off. It may jump, as a clock that is set does."""

    seconds: float = 0.0

    def jump(self, by: float) -> None:
        """Set the clock, at most as far from the right time as any worker's is."""
        self.seconds = max(-MOST_SKEW, min(MOST_SKEW, self.seconds + by))


MOST_SKEW = 8.0
RIGHT = Skew()


def surroundings(world: "World", skew: Skew) -> Surroundings:
    """Those of a process on a worker whose clock is off by so many seconds."""
    return Surroundings(
        now=lambda: world.now(skew),
        nanoseconds=lambda: int(world.now(skew).timestamp() * 1e9),
        monotonic=lambda: world.scheduler.clock,
        sleep=world.scheduler.pause,
        new_id=lambda: uuid.UUID(int=world.ids.getrandbits(128), version=4),
        draw=world.chaos.random.uniform,
        pool=lambda size, name: Pool(world, size) if size > 1 else AtOnce(),
        any_done=lambda under_way: any_done(world, under_way),
        repeat=lambda every, call, name: Repeated(world, every, call, name),
    )


class Repeated:
    """A thread of a process, as the one that renews its lease."""

    def __init__(self, world: "World", every: timedelta, call: Callable[[], bool], name: str) -> None:
        self._world, self._every, self._call = world, every.total_seconds(), call
        self._is_stopped = self._is_calling = False
        parent = world.scheduler.current
        world.tries[self._spawned(parent, name)] = world.tries[parent]

    def _spawned(self, parent: Process, name: str) -> Process:
        self._process = self._world.scheduler.spawn(f"{parent.name} {name[-6:]}", self._run, self._every, parent)
        return self._process

    def _run(self) -> None:
        while not self._is_stopped:
            self._is_calling = True
            goes_on = self._call()
            self._is_calling = False
            if not goes_on:
                return
            self._world.scheduler.pause(self._every)

    def stop(self) -> None:
        """End it, and wait for a call that is under way."""
        self._is_stopped = True
        if self._is_calling:
            self._world.scheduler.wait_for(self._process, 1000.0)
        else:
            self._process.kill()
