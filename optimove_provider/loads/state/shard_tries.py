"""The tries of a load's shards, each of which one worker makes: its requests, and what may be under way of it.

`loads/<load id>/shards/<shard>-<try>.json` is there from before the first request of a try. One that was killed never
says that it has ended.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from optimove_provider.clients.http.in_doubt import LASTS
from optimove_provider.loads.state.journal import Journal


class ShardTry:
    """One try of a shard."""

    def __init__(self, journal: Journal, shard: int, try_number: int) -> None:
        self._staging, self._path = journal.staging, f"{_folder(journal)}/{shard:04}-{try_number}.json"

    def begin(self) -> None:
        """Before the first request."""
        self._staging.write(self._path, {"quiet_from": None})

    def end(self, in_doubt_for: timedelta, requests: Mapping[str, Any]) -> None:
        """No more requests are made; one may still be carried out for so long. `requests` are those of the try, as
        `Timeline.counts`."""
        quiet_from = self._staging.surroundings.now() + in_doubt_for
        self._staging.write(self._path, {"quiet_from": quiet_from.isoformat(), "requests": requests})


def _folder(journal: Journal) -> str:
    return f"{journal.folder}/shards"


def shards_in_doubt_for(journal: Journal) -> timedelta:
    """For how long a request of any shard may still be carried out; of one that never ended nobody knows when its last
    one was made."""
    now = journal.staging.surroundings.now()
    return max((_left(one["quiet_from"], now) for one in _tries(journal)), default=timedelta())


def requests_of_shards(journal: Journal) -> list[Mapping[str, Any]]:
    """The requests of each try, as `Timeline.counts`; nothing is known of one that never ended."""
    return [one["requests"] for one in _tries(journal) if one.get("requests")]


def _tries(journal: Journal) -> list[dict[str, Any]]:
    if not journal.is_sharded:
        return []
    staging, folder = journal.staging, _folder(journal)
    found = staging.read_together([f"{folder}/{name}" for name in staging.names(folder)])
    return [one for one in found.values() if one]


def _left(quiet_from: str | None, now: datetime) -> timedelta:
    if quiet_from is None:
        return LASTS
    return min(max(datetime.fromisoformat(quiet_from) - now, timedelta()), LASTS)
