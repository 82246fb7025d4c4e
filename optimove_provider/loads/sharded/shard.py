"""A shard: some neighbouring slices of a load, which one worker sends."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from optimove_provider.contract.wire.errors import SettingsError

MAX_SHARDS = 1024
"""Airflow maps no task more often: `[core] max_map_length`."""
SLICES = 200
"""Of a shard, unless somebody says how many shards there are: a million rows. To begin a task takes about a second."""


SHORTEST = timedelta(minutes=2)
"""For which a lease is reserved: shards renew it each 20 seconds, by clocks that are up to 30 seconds apart."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of as many shards, from 1: the slices from `first` to before `end`, of one batch of a load.

    `rows_digest` is the journal's, and tells the rows that were planned from any others of that load.
    """

    load_id: str
    batch: int
    rows_digest: str
    number: int
    of: int
    first: int
    end: int

    @property
    def numbers(self) -> range:
        """The numbers of its slices."""
        return range(self.first, self.end)

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"

    def as_json(self) -> dict[str, Any]:
        """For an XCom: small."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Shard":
        """Read what `as_json` gave. Raises SettingsError for anything else."""
        try:
            return cls(**found)
        except TypeError:
            raise SettingsError(
                f"shard={found!r:.200} is none: pass what OptixPlanOperator returns to .expand(shard=plan.output)"
            ) from None


@dataclass(frozen=True, slots=True)
class Sharding:
    """How a load is shared out: into how many shards, None for as many as the rows suggest; how many are sent at a
    time; and for how long other loads wait for a shard that says nothing."""

    shards: int | None = None
    workers: int = 4
    reserved_for: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        if self.reserved_for < SHORTEST:
            raise SettingsError(f"reserved_for={self.reserved_for}: expected {SHORTEST} or more")

    def count(self, slices: int) -> int:
        """Of how many shards so many slices are: none is empty, and all workers have as many."""
        suggested = -(-slices // (SLICES * self.workers)) * self.workers
        return min(self.shards or suggested, slices, MAX_SHARDS)


def cut(load_id: str, batch: int, rows_digest: str, slices: range, count: int) -> list[Shard]:
    """Cut slices into so many shards, which differ by one slice at most."""
    ends = [slices.start + len(slices) * number // count for number in range(count + 1)] if count else []
    return [
        Shard(load_id, batch, rows_digest, number, count, first, end)
        for number, (first, end) in enumerate(pairwise(ends), 1)
    ]
