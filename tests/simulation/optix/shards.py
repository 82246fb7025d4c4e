"""The mapped tasks of a load that several workers send: each lives for itself, dies, and comes back."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.optix.options import UploadOptions
from optimove_provider.loads.sharded.load import send_shard
from optimove_provider.loads.sharded.shard import Shard
from tests.simulation.airflow import NOTICED_AFTER, RETRY_DELAY, Try
from tests.simulation.scheduler import Process
from tests.simulation.target import WrongWorld
from tests.support.optix_target import SETTINGS

if TYPE_CHECKING:
    from tests.simulation.optix.connection import OptixConnection

TRIES = 3
RESERVED_FOR = timedelta(hours=1)


class Group:
    """The shards of one load. `error` is what failed one of them for good, in its last life."""

    def __init__(self, target: "OptixConnection", one: Try, shards: Sequence[Shard], options: UploadOptions) -> None:
        self._target, self._one, self._options = target, one, options
        self._left, self._tries = list(shards), dict.fromkeys((shard.number for shard in shards), 0)
        self._lives: list[Process] = []
        self.error: Exception | None = None
        self.begin()

    def begin(self) -> None:
        """Let those that are not done live, once more."""
        self.error = None
        spawn, name = self._target.world.scheduler.spawn, self._one.task.name
        self._lives = [spawn(f"airflow {name}, {shard}", partial(self._live, shard)) for shard in self._left]

    def is_under_way(self) -> bool:
        """Whether any of them lives."""
        return not all(life.is_over for life in self._lives)

    def _live(self, shard: Shard) -> None:
        world, random = self._target.world, self._target.random
        last: Exception | None = None
        for _ in range(TRIES):
            self._tries[shard.number] += 1
            skew = random.choice(world.airflow.workers)
            one = Try(self._one.task, shard.load_id, self._tries[shard.number], skew, resumed=False, is_shard=True)
            name = f"{one.task.name}, {shard}, try {one.try_number}"
            process = world.scheduler.spawn(name, partial(self._send, one, shard))
            patience = random.uniform(1.0, 100.0) if world.chaos.does("zombie", 0.05, counts=False) else 100_000.0
            world.scheduler.wait_for(process, patience)
            if process.is_over and not process.is_dead and process.error is None:
                self._left.remove(shard)
                world.coverage.has("shards", "sent")
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
        self.error = last or OSError("a shard died as often as it was tried")

    def _send(self, one: Try, shard: Shard) -> None:
        world = self._target.world
        world.tries[world.scheduler.current] = one
        staging = world.staging(one.skew)
        send = partial(self._target.vendor.send, sender=one)
        client = OptixClient(SETTINGS, send, surroundings=staging.surroundings)
        send_shard(client, staging, self._options.target, shard, self._options.sending, RESERVED_FOR, one.try_number)
