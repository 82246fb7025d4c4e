"""An Opti-X data connection: records, batches that stay invisible until completed, expiry. No I/O here."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Key = str
"""A key value as JSON text, so that 1 and "1" differ.

Guess: they are two records. The vendor's samples use both kinds, on one connection, and say nothing.
"""


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
class Connection:
    """An upload-based data connection."""

    data_connection_uuid: str
    name: str
    primary_key: str
    description: str | None = None
    records: dict[Key, Record] = field(default_factory=dict)
    open_batches: dict[str, list[Record]] = field(default_factory=dict)
    completed_batches: set[str] = field(default_factory=set)

    def upload(self, records: Iterable[Record], batch_uuid: str, *, completed: bool) -> None:
        """Take one request's records. They appear when their batch is completed, all at once.

        Guesses: the records that they will replace stay visible until then; an open batch waits for ever; the
        same key twice means that the last one counts; a batch that is completed may be used again, as if it
        were new (so that a closing request, sent again because its answer was lost, does no harm).
        """
        waiting = self.open_batches.setdefault(batch_uuid, [])
        waiting.extend(records)
        if completed:
            self.records.update((record.key, record) for record in self.open_batches.pop(batch_uuid))
            self.completed_batches.add(batch_uuid)

    def visible(self, now: float) -> dict[str, Record]:
        """What a query at `now` would find, by key: a text as it is, a number as its JSON text.

        A number whose text is a key too is called `1 (number)`.
        """
        found: dict[str, Record] = {}
        for record in sorted(self.records.values(), key=lambda record: not record.key.startswith('"')):
            if record.visible(now):
                value = json.loads(record.key)
                name = value if isinstance(value, str) else record.key
                found[name if name not in found else f"{name} (number)"] = record
        return found
