"""What a load will do to its target, found before anything is sent.

Of the rows that a ledger knows, those that the target holds already are left out; of those that the target has newer,
the load's are stale. Everything that sending and committing need is written down, so that a retry need not plan again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.evidence import COUNTED, Evidence
from optimove_provider.loads.ledger.ledger import Commit
from optimove_provider.loads.ledger.manifest import Origin, PlanRef, SourceSnapshot
from optimove_provider.loads.owed.choice import OwedLimits, OwedPlan
from optimove_provider.loads.state.age import Age

SENT_KINDS = ("new", "changed", "unknown", "expiring", "reverified")
"""The kinds of change that are sent."""
COUNTED_ROWS = Evidence()
"""Each row was in a request that was answered."""


@dataclass(frozen=True, slots=True)
class PlanInput:
    """A load whose rows are frozen. `rows_folder`: theirs in staging; `age`: how old they are.
    `filled` is the share of them that has a value, by column. Unless `compared`, nobody asks for the plan's digest, and
    unless `judged`, no guard how many of them change: without either, their fingerprints need not be made. Of a
    snapshot that is not `is_complete`, some row's key is not known: so what it seems to lack is not gone.

    `reverify_after`, in seconds: what was accepted that long ago, and counted by nobody, is sent again; None for never.
    `deletes_by`: some rows of a delta may be deletions, and this is the column of the key; "" if none is.
    With `mode="full"` the ledger's fingerprints are not trusted: every row is sent that is not stale. `owed` says what
    the load does about rows that are owed to its target.
    """

    load_id: str
    rows_folder: str
    age: Age
    source_is: Literal["snapshot", "delta"] = "delta"
    mode: Literal["changed", "full"] = "changed"
    on_removed: Literal["report", "expire"] = "report"
    ttl_seconds: int | None = None
    filled: Mapping[str, float] = field(default_factory=dict)
    compared: bool = True
    judged: bool = True
    is_complete: bool = True
    reverify_after: float | None = None
    owed: OwedLimits = field(default_factory=OwedLimits)
    deletes_by: str = ""

    def __post_init__(self) -> None:
        """Raise SettingsError for what contradicts itself."""
        if self.source_is == "delta" and self.on_removed == "expire":
            raise SettingsError('a delta lacks most keys: on_removed="expire" needs source_is="snapshot"')

    @property
    def expires(self) -> bool:
        """Whether what is removed is made to expire."""
        return self.on_removed == "expire" or bool(self.deletes_by)

    def as_json(self) -> dict[str, Any]:
        """The load as JSON can carry it."""
        return {**asdict(self), "age": self.age.as_json()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "PlanInput":
        """Read what `as_json` gave."""
        owed = OwedLimits(**found.get("owed", {}))
        return cls(**{**found, "age": Age.from_json(found["age"]), "owed": owed})


@dataclass(frozen=True, slots=True)
class Gone:
    """Of `live` keys that the target has, how many a snapshot lacks, or a delta deletes: `newly`, and those reported
    `before`; examples are JSON texts. What has expired by its TTL is none of them."""

    newly: int
    before: int
    live: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for a load, found at `planned_at` against version `planned_against` of the manifest.

    `known` is about how many keys the ledger had then, `rows` how many the load has, `counts` how many are of each kind
    of change, `may_change` how many of the unknown ones are not what the target was last known to have, `examples` some
    of those that change. `below_watermark`: a newer snapshot is committed already, so that all rows are stale.

    `gone` is there if a snapshot lacks any key, or a delta deletes one.

    Folders are in staging: `sent` has the rows to send, `kept` what changes in the ledger only, `removed` the rows to
    be expired after the commit, None where there are none. `owed` is what is done about rows that are owed to the
    target, None where that is nothing: they are no rows of the load, and in none of its counts.
    """

    load: PlanInput
    planned_at: datetime
    planned_against: int
    known: int
    rows: int
    below_watermark: bool
    counts: Mapping[str, int]
    may_change: int
    digest: str
    examples: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    sent: str
    kept: str
    removed: str | None
    gone: Gone | None = None
    owed: OwedPlan | None = None

    @property
    def ref(self) -> PlanRef:
        """The plan as a ledger knows it."""
        return PlanRef(self.load.load_id, self.planned_against)

    @property
    def to_send(self) -> int:
        """How many rows will be sent, those that are to expire left out."""
        return sum(self.counts.get(kind, 0) for kind in SENT_KINDS)  # a plan of an older version knows fewer kinds

    @property
    def owed_to_send(self) -> int:
        """How many rows that are owed will be sent besides."""
        return self.owed.rows if self.owed else 0

    def as_commit(self, committed_at: datetime, evidence: Evidence = COUNTED_ROWS) -> Commit:
        """What is true once all of it is sent. Rows count as accepted when they were planned: they expire no sooner."""
        ttl = None if self.load.ttl_seconds is None else timedelta(seconds=self.load.ttl_seconds)
        unproven_since = None if evidence.kind == COUNTED else committed_at
        expires = None if ttl is None else self.planned_at + ttl
        origin = Origin(self.ref, self.load.age, expires, str(evidence), unproven_since)
        return Commit(origin, committed_at, self.sent, self.kept, self.removed, self._snapshot, self.load.rows_folder)

    @property
    def _snapshot(self) -> SourceSnapshot | None:
        if self.load.source_is != "snapshot" or self.below_watermark:
            return None
        return SourceSnapshot(self.load.age, self.rows, self.load.filled)

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON can carry it."""
        return {**asdict(self), "load": self.load.as_json(), "planned_at": self.planned_at.isoformat()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Plan":
        """Read what `as_json` gave."""
        load, planned_at = PlanInput.from_json(found["load"]), datetime.fromisoformat(found["planned_at"])
        lists = {name: tuple(found[name]) for name in ("examples", "warnings")}
        gone = found["gone"] and Gone(**{**found["gone"], "examples": tuple(found["gone"]["examples"])})
        owed = OwedPlan(**found["owed"]) if found.get("owed") else None
        return cls(**{**found, **lists, "load": load, "planned_at": planned_at, "gone": gone, "owed": owed})
