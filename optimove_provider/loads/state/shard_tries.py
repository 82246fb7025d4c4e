"""The tries of a load's shards, each of which one worker makes: how far each came, and what may be under way of it.

`loads/<load id>/shards/<shard>-<try>.json` is there from before the first request of a try. One that was killed never
says that it has ended.
"""

from datetime import datetime, timedelta
from typing import Any

from optimove_provider.clients.http.in_doubt import LASTS
from optimove_provider.loads.state.journal import Journal


class ShardTry:
    """One try of a shard."""

    def __init__(self, journal: Journal, shard: int, try_number: int) -> None:
        self._staging, self._path = journal.staging, f"{_folder(journal)}/{shard:04}-{try_number}.json"
        self._began = journal.staging.surroundings.now()

    def begin(self) -> None:
        """Before the first request."""
        self._write(None)

    def end(self, in_doubt_for: timedelta, told: dict[str, Any]) -> None:
        """No more requests are made; one may still be carried out for so long. `told` is what else is to be known."""
        self._write(self._staging.surroundings.now() + in_doubt_for, told)

    def _write(self, quiet_from: datetime | None, told: dict[str, Any] | None = None) -> None:
        quiet = quiet_from and quiet_from.isoformat()
        self._staging.write(self._path, {"began": self._began.isoformat(), "quiet_from": quiet, **(told or {})})


def _folder(journal: Journal) -> str:
    return f"{journal.folder}/shards"


def tries_of(journal: Journal) -> list[dict[str, Any]]:
    """What is told of all tries of a load's shards."""
    folder = _folder(journal)
    return list(journal.staging.read_together([f"{folder}/{name}" for name in journal.staging.names(folder)]).values())


def shards_in_doubt_for(journal: Journal) -> timedelta:
    """For how long a request of any shard may still be carried out; of one that never ended nobody knows when its last
    one was made."""
    if not journal.is_sharded:
        return timedelta()
    now = journal.staging.surroundings.now()
    return max((_left(one["quiet_from"], now) for one in tries_of(journal)), default=timedelta())


def _left(quiet_from: str | None, now: datetime) -> timedelta:
    if quiet_from is None:
        return LASTS
    return min(max(datetime.fromisoformat(quiet_from) - now, timedelta()), LASTS)
