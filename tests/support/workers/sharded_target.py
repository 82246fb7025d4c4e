"""Loads into an emulated data connection that several workers send: each call is one task's try."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.optix import OptixClient
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.sharded.load import give_up, is_left, plan_shards, send_shard
from optimove_provider.loads.sharded.shard import Shard, Sharding
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging
from tests.support.optix_target import LOAD_ID, SETTINGS, Target, opened
from tests.support.virtual_time import VirtualTime

AN_HOUR = timedelta(hours=1)


class ShardedTarget(Target):
    """`options` are those of the plan, and of what commits."""

    options: Any = None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.virtual = VirtualTime()
        self.surroundings = self.virtual.surroundings()
        self.staging = Staging(LocalFileSystem(), str(folder), self.surroundings)
        self.client = self.worker()
        self.state.clock = lambda: self.surroundings.now().timestamp()

    def worker(self) -> OptixClient:
        return OptixClient(SETTINGS, send=self.send, surroundings=self.surroundings)

    def pass_by(self, seconds: float) -> None:
        self.virtual.sleep(seconds)

    task = "task nightly.customers.plan of run one"

    def plan(
        self, rows: Any, load_id: str = LOAD_ID, *, shards: int | None = None, try_number: int = 1, **settings: Any
    ) -> list[Shard]:
        self.options = self.wanted(**settings)
        report, sharding = Report(load_id, self.named, task=self.task), Sharding(shards, 2, AN_HOUR)
        self.report = report
        return plan_shards(self.client, lambda: opened(rows), self.staging, report, self.options, sharding, try_number)

    def shard(self, shard: Shard, try_number: int = 1, client: OptixClient | None = None, **sending: Any) -> Any:
        """By a client of its own: a worker."""
        client = client or self.worker()
        found = Shard.from_json(shard.as_json())
        sending = replace(self.options.sending, **sending)
        return send_shard(client, self.staging, self.options.target, found, sending, AN_HOUR, try_number)

    def commit(self, load_id: str = LOAD_ID, try_number: int = 1, **options: Any) -> Report:
        self.report = Report(load_id, self.named, task="task nightly.customers.commit of run one")
        wanted = replace(self.options, **options)
        load(self.client, never_opened, self.staging, self.report, wanted, try_number, resumed=True)
        return self.report

    def give_up(self, load_id: str = LOAD_ID) -> bool:
        if not is_left(self.client, self.staging, self.options.target, load_id):
            return False
        self.report = Report(load_id, self.named)
        return give_up(self.client, self.staging, self.options.target, self.report)

    def journal(self, load_id: str = LOAD_ID) -> Journal:
        return Journal(self.staging, load_id)

    @property
    def holder(self) -> Any:
        return self.ledger.read().holder


def never_opened() -> Any:
    """What commits never reads the source."""
    raise AssertionError("the source was read again")
