"""An Opti-X data connection: records, batches that stay invisible until completed, expiry. No I/O here."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Key = str
"""A key value as JSON text, so that 1 and "1" can differ."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `expires` is an epoch instant in seconds, None for never."""

    key: Key
    data: dict[str, Any]
    expires: float | None = None

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
    """An upload-based data connection. `records_received` counts repeats too; both counts are of what was accepted."""

    data_connection_uuid: str
    name: str
    primary_key: str
    description: str | None = None
    records: dict[Key, Record] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
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

    def complete(self, batch: Batch, closing: str | None) -> None:
        """Show what a batch held. `closing` is the digest of the body that asked for it."""
        self.records.update(batch.complete(closing))

    def update(self, records: Sequence[Record], now: float, *, insert: bool) -> None:
        """Overwrite records at once. `insert` says whether those that are not there are stored, or ignored."""
        self.records_received += len(records)
        self.records.update((record.key, record) for record in records if insert or self.has(record.key, now))

    def has(self, key: Key, now: float) -> bool:
        """Whether a record of this key is stored and not expired."""
        record = self.records.get(key)
        return record is not None and record.visible(now)

    def forget_batches(self, opened_until: float) -> None:
        """Drop what waits in the open batches that were opened at this instant or before."""
        for batch in self.batches.values():
            if batch.state == "open" and batch.opened <= opened_until:
                batch.forget()

    def visible(self, now: float, *, old_rows_stay: bool = True) -> dict[str, Record]:
        """What a query at `now` would find, by key: a text as it is, a number as its JSON text.

        A number whose text is a key too is called `1 (number)`. `old_rows_stay` says whether records are found while
        their replacement waits in an open batch.
        """
        hidden = set() if old_rows_stay else {key for batch in self.batches.values() for key in batch.waiting}
        found: dict[str, Record] = {}
        for record in sorted(self.records.values(), key=lambda record: not record.key.startswith('"')):
            if record.visible(now) and record.key not in hidden:
                value = json.loads(record.key)
                name = value if isinstance(value, str) else record.key
                found[name if name not in found else f"{name} (number)"] = record
        return found
