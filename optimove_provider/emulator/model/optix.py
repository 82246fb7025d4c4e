"""An Opti-X data connection: records, batches that stay invisible until completed, expiry. No I/O here."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Key = str
"""A key value as JSON text, so that 1 and "1" can differ."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `expires` is an epoch instant in seconds, None for never, and `ttl` what it was made of."""

    key: Key
    data: dict[str, Any]
    expires: float | None = None
    ttl: int | None = None

    def from_now(self, now: float) -> "Record":
        """The record, whose time to live begins now."""
        return self if self.ttl is None else replace(self, expires=now + self.ttl)

    def visible(self, now: float) -> bool:
        """Whether a query at `now` finds it."""
        return self.expires is None or now < self.expires


@dataclass(slots=True)
class Batch:
    """The uploads under one uuid.

    `records` counts what they held, repeats too; `waiting` is what the completion will show. `opened` is an epoch
    instant in seconds. `closing` is the digest of the body that completed it last.
    """

    batch_uuid: str
    opened: float
    state: Literal["open", "completed", "forgotten"] = "open"
    requests: int = 0
    records: int = 0
    completions: int = 0
    waiting: dict[Key, Record] = field(default_factory=dict)
    closing: str | None = None

    def take(self, records: Sequence[Record], now: float) -> None:
        """Keep one request's records until the completion. A batch that is not open is opened again."""
        if self.state != "open":
            self.state, self.opened = "open", now
        self.requests += 1
        self.records += len(records)
        self.waiting.update((record.key, record) for record in records)

    def complete(self, closing: str | None) -> dict[Key, Record]:
        """Close the batch; returns what it held."""
        held, self.waiting = self.waiting, {}
        self.state, self.closing = "completed", closing
        self.completions += 1
        return held

    def forget(self) -> None:
        """Drop what waits."""
        self.state, self.waiting = "forgotten", {}


@dataclass(slots=True)
class Connection:
    """An upload-based data connection. `records_received` counts repeats too; both counts are of what was accepted.

    `arriving` are records that were accepted and that nobody can query yet: when they can, and those records.
    """

    data_connection_uuid: str
    name: str
    primary_key: str
    description: str | None = None
    records: dict[Key, Record] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    arriving: deque[tuple[float, dict[Key, Record]]] = field(default_factory=deque)
    requests_accepted: int = 0
    records_received: int = 0

    @property
    def open_batches(self) -> set[str]:
        """The batches that wait for their completion."""
        return {uuid for uuid, batch in self.batches.items() if batch.state == "open"}

    @property
    def completed_batches(self) -> set[str]:
        """The batches that were completed, be it once or more often."""
        return {uuid for uuid, batch in self.batches.items() if batch.completions}

    def upload(self, records: Sequence[Record], batch_uuid: str, now: float) -> Batch:
        """Take one request's records. They appear when their batch is completed, all at once."""
        batch = self.batches.setdefault(batch_uuid, Batch(batch_uuid, now))
        batch.take(records, now)
        self.records_received += len(records)
        return batch

    def accept(self, records: dict[Key, Record], readable: float, now: float) -> None:
        """Overwrite records, to be queried from that instant on."""
        self.arriving.append((readable, records))
        self.show_accepted(now)

    def show_accepted(self, now: float) -> None:
        """Let what can be queried by now be queried, in the order in which it was accepted."""
        while self.arriving and self.arriving[0][0] <= now:
            self.records.update(self.arriving.popleft()[1])

    def update(self, records: Sequence[Record], now: float, *, inserts: Callable[[], bool]) -> dict[Key, Record]:
        """Count an update; returns what it overwrites. `inserts` is asked whether a record that is not there is
        stored, or ignored."""
        self.records_received += len(records)
        return {record.key: record for record in records if self.has(record.key, now) or inserts()}

    def has(self, key: Key, now: float) -> bool:
        """Whether a record of this key was accepted and is not expired."""
        accepted = (some[key] for _, some in reversed(self.arriving) if key in some)
        record = next(accepted, self.records.get(key))
        return record is not None and record.visible(now)

    def forget_batches(self, opened_until: float) -> None:
        """Drop what waits in the open batches that were opened at this instant or before."""
        for batch in self.batches.values():
            if batch.state == "open" and batch.opened <= opened_until:
                batch.forget()

    def visible(self, now: float, old_rows_stay: Callable[[], bool] = lambda: True) -> dict[str, Record]:
        """What a query at `now` would find, by key: a text as it is, a number as its JSON text.

        A number whose text is a key too is called `1 (number)`. `old_rows_stay` is asked whether records are found
        while their replacement waits in an open batch.
        """
        waiting = {key for batch in self.batches.values() for key in batch.waiting if key in self.records}
        hidden = waiting if waiting and not old_rows_stay() else set()
        found: dict[str, Record] = {}
        for record in sorted(self.records.values(), key=lambda record: not record.key.startswith('"')):
            if record.visible(now) and record.key not in hidden:
                value = json.loads(record.key)
                name = value if isinstance(value, str) else record.key
                found[name if name not in found else f"{name} (number)"] = record
        return found
