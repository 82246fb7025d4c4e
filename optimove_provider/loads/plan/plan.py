"""What a load will do to its target, found before anything is sent.

Of the rows that a ledger knows, those that the target holds already are left out; of those that the target has newer,
the load's are stale. Everything that sending and committing need is written down, so that a retry need not plan again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.ledger.ledger import Accepted
from optimove_provider.loads.ledger.manifest import Snapshot

SENT = ("new", "changed", "unknown", "expiring")


@dataclass(frozen=True, slots=True)
class PlanInput:
    """A load whose rows are frozen. `rows_in`: their folder in staging; `generation`: the instant that they stand for.
    `filled` is the share of them that has a value, by column. Unless `compared`, nobody asks for the plan's digest, and
    their fingerprints need not be made.

    With `mode="full"` the ledger's fingerprints are not trusted: every row is sent that is not stale.
    """

    load_id: str
    rows_in: str
    generation: datetime
    source_is: Literal["snapshot", "delta"] = "delta"
    mode: Literal["changed", "full"] = "changed"
    on_removed: Literal["report", "expire"] = "report"
    ttl_seconds: int | None = None
    filled: Mapping[str, float] = field(default_factory=dict)
    compared: bool = True

    def __post_init__(self) -> None:
        """Raise SettingsError for what contradicts itself."""
        if self.source_is == "delta" and self.on_removed == "expire":
            raise SettingsError('a delta lacks most keys: on_removed="expire" needs source_is="snapshot"')


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. Folders are in staging: `sent` has the rows to send, `kept` what changes in the ledger only.

    `removed` has the rows to be expired after the commit, None where there are none. `filled` is the share of rows
    with a value, by column, from a sample. `version` is that of the manifest, `known` about how many keys that had.
    `below_watermark`: a newer snapshot is committed already, so that all rows are stale.
    """

    load_id: str
    source_is: str
    generation: datetime
    planned_at: datetime
    ttl_seconds: int | None
    version: int
    known: int
    rows: int
    below_watermark: bool
    counts: Mapping[str, int]
    digest: str
    filled: Mapping[str, float]
    samples: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    sent: str
    kept: str
    removed: str | None

    @property
    def to_send(self) -> int:
        """How many rows will be sent, those that are to expire left out."""
        return sum(self.counts[verdict] for verdict in SENT)

    def accepted(self, committed_at: datetime) -> Accepted:
        """What is true once all of it is sent. Rows count as accepted when they were planned: they expire no sooner."""
        ttl = None if self.ttl_seconds is None else timedelta(seconds=self.ttl_seconds)
        return Accepted(
            load_id=self.load_id,
            version=self.version,
            generation=self.generation,
            sent=self.sent,
            kept=self.kept,
            committed_at=committed_at,
            expires=None if ttl is None else self.planned_at + ttl,
            snapshot=self._snapshot,
            removed=self.removed,
        )

    @property
    def _snapshot(self) -> Snapshot | None:
        if self.source_is != "snapshot" or self.below_watermark:
            return None
        return Snapshot(self.generation, self.rows, self.filled)

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON can carry it."""
        times = {name: getattr(self, name).isoformat() for name in ("generation", "planned_at")}
        return {**asdict(self), **times}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Plan":
        """Read what `as_json` gave."""
        times = {name: datetime.fromisoformat(found[name]) for name in ("generation", "planned_at")}
        return cls(**{**found, **times, "samples": tuple(found["samples"]), "warnings": tuple(found["warnings"])})
