"""What a load will do to its target, found before anything is sent.

Of the rows that a ledger knows, those that the target holds already are left out; of those that the target has newer,
the load's are stale. Everything that sending and committing need is written down, so that a retry need not plan again.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.errors import SettingsError
from optimove_provider.contract.wire import json_body
from optimove_provider.loads import layers, parquet
from optimove_provider.loads.columns import samples
from optimove_provider.loads.diff import VERDICTS, Diff, Question, compare
from optimove_provider.loads.ledger import MAX_MEMORY, Accepted, Ledger
from optimove_provider.loads.parquet import LEDGER, ROWS, Mask
from optimove_provider.loads.pointer import Pointer, Snapshot
from optimove_provider.loads.staging import Staging

SAMPLES = 10
SENT = ("new", "changed", "unknown", "expiring")
NO_LEDGER_YET = (
    "the target has no ledger in staging: it is new, or staging was lost or moved. Every row is sent, and until a load "
    "is committed nothing keeps an older one from overwriting newer records"
)


@dataclass(frozen=True, slots=True)
class Frozen:
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
    with a value, by column, from a sample. `version` is that of the pointer, `known` about how many keys that had.
    `fenced`: a newer snapshot is committed already, so that all rows are stale.
    """

    load_id: str
    source_is: str
    generation: datetime
    planned_at: datetime
    ttl_seconds: int | None
    version: int
    known: int
    rows: int
    fenced: bool
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
        if self.source_is != "snapshot" or self.fenced:
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


def fence(pointer: Pointer, generation: datetime) -> bool:
    """Whether a load of either kind is older than the newest committed snapshot, so that nothing of it may be sent."""
    return pointer.snapshot is not None and generation < pointer.snapshot.generation


def make_plan(ledger: Ledger, load: Frozen, folder: str, now: datetime, max_memory: str = MAX_MEMORY) -> Plan:
    """Compare a load with the ledger. What is found goes to `folder` in staging, which no other plan may use.

    Raises DataError where the ledger is of a newer format.
    """
    staging, pointer = ledger.staging, ledger.read()
    staging.remove_folder(folder)  # of a try that ended while it planned
    rows, last = parquet.size(staging, load.rows_in)
    fenced = fence(pointer, load.generation)
    made = _Making(staging, pointer, load, folder, rows)
    if fenced or _nothing_to_compare(pointer, load):
        counts, mark = {**dict.fromkeys(VERDICTS, 0), "stale" if fenced else "new": rows}, "0"
        made.sent = made.sent if fenced else load.rows_in
    else:
        question = _question(pointer, load, now)
        with compare(staging, pointer, load.rows_in, last, question, max_memory) as found:
            counts, mark = _all_counts(found.counts(), load, rows), found.mark()
            made.write(found, counts)
    return Plan(
        load_id=load.load_id,
        source_is=load.source_is,
        generation=load.generation,
        planned_at=now,
        ttl_seconds=load.ttl_seconds,
        version=pointer.version,
        known=pointer.rows,
        rows=rows,
        fenced=fenced,
        counts=counts,
        digest=_digest(pointer, load, counts, mark),
        filled=load.filled,
        samples=made.samples,
        warnings=(*made.warnings, *_warnings(pointer, load, now)),
        sent=made.sent,
        kept=made.kept,
        removed=made.removed,
    )


def _nothing_to_compare(pointer: Pointer, load: Frozen) -> bool:
    """Whether all rows are new, and nobody asks for a digest of them: then they need not be looked at."""
    return not (load.compared or pointer.layers or pointer.pending)


class _Making:
    """Writes down what a plan found."""

    def __init__(self, staging: Staging, pointer: Pointer, load: Frozen, folder: str, rows: int) -> None:
        self.staging, self.pointer, self.load, self.rows = staging, pointer, load, rows
        self.sources = layers.of_all(staging, pointer)
        self.sent, self.kept, self._removed = (f"{folder}/{name}" for name in ("sent", "kept", "removed"))
        self.removed: str | None = None
        self.samples: tuple[Mapping[str, Any], ...] = ()
        self.warnings: list[str] = []

    def write(self, found: Diff, counts: Mapping[str, int]) -> None:
        """Write the files, and find the samples."""
        to_send = sum(counts[verdict] for verdict in SENT)
        if to_send and to_send == self.rows:
            self.sent = self.load.rows_in
        elif to_send:
            parquet.write(self.staging, f"{self.sent}/rows.parquet", found.picked(*SENT), ROWS)
        if counts["removed"] or found.counts()["unchanged"]:
            parquet.write(self.staging, f"{self.kept}/rows.parquet", self._kept(found), LEDGER)
        if self.load.on_removed == "expire" and counts["removed"]:
            self._write_removed(found, counts["removed"])
        if counts["changed"]:
            self.samples = self._samples(found)

    def _write_removed(self, found: Diff, removed: int) -> None:
        expirable = _Expirable(self._first_key())
        gone = expirable.numbered(self._stored(found.places("removed")))
        if parquet.write(self.staging, f"{self._removed}/rows.parquet", gone, ROWS):
            self.removed = self._removed
        self.warnings += expirable.warnings(removed)

    def _first_key(self) -> str | None:
        """A key of the load: all of them are numbers, or all are texts."""
        for batch in parquet.read_rows(self.staging, self.load.rows_in, ["_key"]):
            if batch.num_rows:
                return str(batch["_key"][0].as_py())
        return None

    def _stored(self, places: Mask) -> Iterator[pa.RecordBatch]:
        for batch in layers.read(self.staging, self.sources, LEDGER.names, places):
            yield batch.select(LEDGER.names)

    def _kept(self, found: Diff) -> Iterator[pa.RecordBatch]:
        """Removed rows as such, and unchanged ones as of now. A removed row keeps its generation."""
        for batch in self._stored(found.places("removed")):
            yield _with(batch, "state", "removed")
        for batch in self._stored(found.places("unchanged")):
            yield _with(_with(batch, "state", "live"), "generation", self.load.generation)

    def _samples(self, found: Diff) -> tuple[Mapping[str, Any], ...]:
        new = found.picked("changed", most=SAMPLES)
        return tuple(samples(new, self._stored(found.places("changed", most=SAMPLES))))


def _question(pointer: Pointer, load: Frozen, now: datetime) -> Question:
    """A row is sent again if less than half of its TTL is left, or it might be gone when the load after next comes."""
    if load.ttl_seconds is None:
        before = datetime.max.replace(tzinfo=UTC)  # a row that goes some day is to stay now
    else:
        half = timedelta(seconds=load.ttl_seconds) / 2
        before = now + max(half, 2 * _since_last(pointer, now))
    return Question(load.source_is, load.generation, before, load.mode == "full", load.on_removed == "expire")


def _since_last(pointer: Pointer, now: datetime) -> timedelta:
    return now - pointer.committed_at if pointer.committed_at else timedelta()


def _warnings(pointer: Pointer, load: Frozen, now: datetime) -> Iterator[str]:
    if not (pointer.layers or pointer.committed_at):
        yield NO_LEDGER_YET
    twice = 2 * _since_last(pointer, now)
    if load.ttl_seconds is not None and timedelta(seconds=load.ttl_seconds) < twice:
        yield (
            f"ttl_seconds={load.ttl_seconds} is less than twice the time since the load before "
            f"({twice.total_seconds() / 2:.0f} s): records may be gone before they are sent again. Raise "
            "ttl_seconds, or load more often"
        )


def _all_counts(found: Mapping[str, int], load: Frozen, rows: int) -> dict[str, int]:
    if load.source_is == "delta":
        return dict(found)
    settled = sum(found[verdict] for verdict in (*SENT, "stale"))
    return {**found, "unchanged": rows - settled}


def _digest(pointer: Pointer, load: Frozen, counts: Mapping[str, int], mark: str) -> str:
    covered = [
        pointer.version,
        load.on_removed,
        *(counts[verdict] for verdict in ("new", "changed", "unknown", "removed")),
        mark,
    ]
    return hashlib.sha256(json_body(covered)).hexdigest()[:16]


def _with(batch: pa.RecordBatch, name: str, value: Any) -> pa.RecordBatch:
    field = LEDGER.field(name)
    column = pa.repeat(pa.scalar(value, field.type), batch.num_rows)
    return batch.set_column(LEDGER.get_field_index(name), field, column)


class _Expirable:
    """Which removed records can be made to expire: those that are known, and whose keys are of the load's own type."""

    def __init__(self, key: str | None) -> None:
        self._key, self.unknown, self.of_another_type = key, 0, 0

    def numbered(self, stored: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of the ledger as rows of a load, numbered from 1."""
        before = 0
        for batch in stored:
            known = batch.filter(pc.is_valid(batch["record"]))
            own = self._of_own_type(known)
            self.unknown += batch.num_rows - known.num_rows
            self.of_another_type += known.num_rows - own.num_rows
            numbers = pa.array(range(before + 1, before + 1 + own.num_rows), pa.int64())
            yield parquet.rows_batch(numbers, own["key"], own["record"], own["fingerprint"])
            before += own.num_rows

    def _of_own_type(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._key is None:
            return batch
        is_text = pc.starts_with(batch["key"], '"')
        return batch.filter(is_text if self._key.startswith('"') else pc.invert(is_text))

    def warnings(self, removed: int) -> Iterator[str]:
        """What to say of the others."""
        if self.unknown:
            yield (
                f"{self.unknown} of {removed} records that the source lacks cannot be made to expire: what they hold "
                "is not known since another way of writing touched them: they stay in the target until a load has sent "
                "their keys again"
            )
        if self.of_another_type:
            yield (
                f"{self.of_another_type} of {removed} records that the source lacks are not made to expire: their keys "
                'are numbers and this load\'s are texts, or the other way round, and the vendor may take 1 and "1" for '
                "one record, which would go with them. Was key_type changed?"
            )
