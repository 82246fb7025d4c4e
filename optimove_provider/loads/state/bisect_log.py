"""What became of single requests while a slice was taken apart: the log by which a retry goes on inside the slice.

`loads/<load id>/bisect/<rows>-<slice>-<batch>-<chunk>.json` has the answers to up to 64 requests. What was taken counts
in its batch only; what was refused counts for as long as the same rows are sent.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.loads.state.journal import Journal

CHUNK = 64
_NAME = re.compile(r"([0-9a-f]+)-(\d+)-(\d+)-(\d+)\.json")


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one request with rows of a slice, by their positions: taken, if `status` is 0, or refused."""

    rows: tuple[int, ...]
    status: int = 0
    reason: str = field(default="", repr=False)

    def as_json(self) -> list[Any]:
        """For a chunk: positions as runs, from and to."""
        return [list(_runs(self.rows)), self.status, self.reason]

    @classmethod
    def from_json(cls, found: Sequence[Any]) -> "Answered":
        """Read what `as_json` wrote."""
        runs, status, reason = found
        return cls(tuple(row for first, last in runs for row in range(first, last + 1)), status, reason)


def _runs(rows: Iterable[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for row in rows:
        if run and row == run[1] + 1:
            run[1] = row
            continue
        if run:
            yield run
        run = [row, row]
    if run:
        yield run


class BisectLog:
    """The log of one load's journal, for the rows and the batch that it sends now. Threads may use it, each for a
    slice of its own. `requests` counts all that were ever answered, whatever their rows and batch; `last` is when an
    earlier try got an answer for these rows in this batch, an ISO text, empty if it got none. `part` names a log of
    other rows of the same batch; only what became of slices with these `numbers` is read."""

    def __init__(self, journal: Journal, part: str, numbers: Collection[int]) -> None:
        self._staging, self._folder = journal.staging, f"{journal.folder}/bisect{part}"
        self._rows, self._batch, self.requests, self.last = journal.rows_digest, journal.batch, 0, ""
        self._known: dict[int, list[Answered]] = defaultdict(list)
        self._chunk: dict[int, tuple[int, list[Answered]]] = {}
        for name in self._staging.names(self._folder):
            found = _NAME.fullmatch(name)
            if found and int(found[2]) in numbers:
                self._read(name, found[1], *map(int, found.groups()[1:]))

    def _read(self, name: str, rows: str, slice_: int, batch: int, chunk: int) -> None:
        told = self._staging.read_whole(f"{self._folder}/{name}") or {"answered": []}
        answered = [Answered.from_json(one) for one in told["answered"]]
        self.requests += len(answered)
        if rows == self._rows:
            is_present = batch == self._batch
            self._known[slice_] += [one for one in answered if is_present or (one.status and len(one.rows) == 1)]
            if is_present:
                self._chunk[slice_] = (chunk + 1, [])
                self.last = max(self.last, told.get("at", ""))

    def known(self, slice_: int) -> list[Answered]:
        """What is known of a slice, in the order of the answers."""
        return list(self._known.get(slice_, ()))

    def add(self, slice_: int, answered: Answered) -> None:
        """Remember an answer."""
        number, chunk = self._chunk.get(slice_, (0, []))
        chunk = [*chunk, answered]
        path = f"{self._folder}/{self._rows}-{slice_:06}-{self._batch}-{number:05}.json"
        at = self._staging.surroundings.now().isoformat()
        self._staging.write(path, {"answered": [one.as_json() for one in chunk], "at": at})
        self._chunk[slice_] = (number, chunk) if len(chunk) < CHUNK else (number + 1, [])
