"""What the tests of the ledger share: a clock that stands, rows frozen by hand, and one load's whole course."""

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import target_id
from optimove_provider.loads.optix.expiry import begin_expiry, commit_expiry
from optimove_provider.loads.plan.plan import COUNTED_ROWS, PlanInput
from optimove_provider.loads.plan.planner import make_plan
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import LEDGER, ROWS
from optimove_provider.loads.state.age import Age
from optimove_provider.surroundings import REAL

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=100)
"""When all loads of the tests are made: none stands for an instant that has not come."""
TARGET = target_id("optix", "https://optix.test", "4f0a")
MEMORY = "200MB"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = LATER

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += timedelta(seconds=seconds)


def hour(number):
    """An instant that rows stand for."""
    return NOON + timedelta(hours=number)


def age(number, opened=None):
    """An age; without `opened`, the source was opened at the instant that its rows stand for."""
    return Age(hour(number), hour(number if opened is None else opened))


def record(key, value):
    return json.dumps({"id": key, "value": value}, separators=(",", ":"))


def freeze(staging, rows, folder=None):
    """Freeze {key: value}, in files of two row groups at most; a value of ... is a row that was refused."""
    folder = folder or f"loads/{uuid.uuid4()}/spool"
    texts = [(json.dumps(key), None if value is ... else record(key, value)) for key, value in rows.items()]
    keys, records = (pa.array(column, pa.string()) for column in (zip(*texts, strict=True) if texts else ((), ())))
    table = row_files.rows_batch(pa.array(range(1, len(texts) + 1)), keys, records, row_files.fingerprints(records))
    fit = table.filter(records.is_valid())
    for start in range(0, max(fit.num_rows, 1), 10_000):
        row_files.write(staging, f"{folder}/{start:09}.parquet", [fit.slice(start, 10_000)], ROWS)
    if refused := [table.filter(records.is_null())] if fit.num_rows < len(texts) else []:
        row_files.write(staging, f"{folder}/{row_files.REFUSED}.parquet", refused, ROWS)
    return folder


def rows_in(staging, folder):
    """What was written, as {key: record's value}, without refused rows."""
    rows = [row for batch in row_files.read_rows(staging, folder, ROWS.names) for row in batch.to_pylist()]
    return {json.loads(row["_key"]): json.loads(row["_record"])["value"] for row in rows if row["_record"]}


def ledger_rows(ledger):
    """What counts in a ledger, by key as JSON text: the last row of each."""
    found = layers.read(ledger.staging, layers.of_all(ledger.staging, ledger.read()), LEDGER.names)
    return {row["key"]: row for batch in found for row in batch.select(LEDGER.names).to_pylist()}


def check_claims(ledger, stored, column):
    """What the ledger says it knows is true of what a store holds in one column, by key."""
    for key, row in ledger_rows(ledger).items():
        if row["state"] == "tombstone":
            assert json.loads(key) not in stored
        elif row["fingerprint"] is not None:
            assert stored[json.loads(key)] == json.loads(row["record"])[column]


def let_lease_end(ledger):
    """As it does after a minute in which nobody renews it, or after the wait for an import."""

    def ended(manifest):
        holder = manifest.holder
        return replace(manifest, holder=holder and replace(holder, until=datetime.now(UTC) - timedelta(days=1)))

    ledger.manifest_file.change(ended)


@dataclass
class Target:
    """A ledger, and the store that it is about, as a dict."""

    staging: object
    clock: Clock

    def __post_init__(self):
        surroundings = replace(REAL, now=self.clock, monotonic=lambda: self.clock().timestamp())
        self.staging = replace(self.staging, surroundings=surroundings)
        self.ledger = Ledger(self.staging, TARGET)
        self.store = {}

    @property
    def manifest(self):
        return self.ledger.read()

    def frozen(self, rows, generation, load_id="", opened=None, **how):
        values = [value for value in rows.values() if value is not None and value is not ...]
        filled = {"value": len(values) / len(rows)} if values else {}
        own = Age(generation, opened or generation)
        return PlanInput(load_id or str(uuid.uuid4()), freeze(self.staging, rows), own, filled=filled, **how)

    def lease(self, load_id, try_number=1):
        return acquire(self.ledger.manifest_file, load_id, try_number)

    def plan(self, frozen):
        return make_plan(self.ledger, frozen, f"loads/{frozen.load_id}/{uuid.uuid4()}", self.clock(), MEMORY)

    def write_intent(self, lease, plan):
        return self.ledger.write_intent(lease, plan.planned_against, plan.load.age, plan.sent)

    def send(self, plan, rejected=()):
        sent = rows_in(self.staging, plan.sent)
        self.store.update({key: value for number, (key, value) in enumerate(sent.items(), 1) if number not in rejected})
        return sent

    def commit(self, lease, plan, evidence=COUNTED_ROWS, rejected=()):
        return self.ledger.commit(lease, plan.as_commit(self.clock(), evidence), rejected)

    def expire(self, lease, plan):
        expiry = begin_expiry(self.ledger, lease, plan, f"loads/{plan.load.load_id}/{uuid.uuid4()}", MEMORY)
        for key in rows_in(self.staging, expiry.sent):
            self.store.pop(key, None)
        return commit_expiry(self.ledger, lease, expiry)

    def load(self, rows, generation, evidence=COUNTED_ROWS, rejected=(), **how):
        """A whole load in which nothing goes wrong; returns its plan."""
        frozen = self.frozen(rows, generation, **how)
        lease = self.lease(frozen.load_id)
        plan = self.plan(frozen)
        self.write_intent(lease, plan)
        self.send(plan, rejected)
        self.commit(lease, plan, evidence, rejected)
        if plan.removed:
            self.expire(lease, plan)
        lease.release()
        return plan


def some(plan):
    """The counts that are not zero."""
    return {name: count for name, count in plan.counts.items() if count}
