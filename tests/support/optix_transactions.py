"""Loads into an emulated data connection against its ledger: what each brings, and what became of its rows."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from optimove_provider.loads.erasure.expire_keys import ExpireOptions, expire_keys
from optimove_provider.loads.optix.load import plan
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from optimove_provider.options import Guards
from tests.support.optix_target import Target, opened

NIGHT = datetime(2025, 11, 20, tzinfo=UTC)
NO_GUARDS = Guards(
    allow_empty=True, min_rows_share=None, min_filled_share=None, max_changed_share=None, max_removed_share=None
)


def night(number):
    """A generation."""
    return NIGHT + timedelta(days=number)


class TransactionTarget(Target):
    """Loads are changed snapshots, without guards, unless said otherwise; each is a load of its own."""

    loads = 0

    def sync(self, values, generation, load_id=None, **settings):
        self.loads += 1
        load_id = load_id or f"6f0f5d3a-0000-4000-8000-{self.loads:012}"
        settings = {"mode": "changed", "source_is": "snapshot", "guards": NO_GUARDS, **settings}
        return self.load(rows(values), load_id, generation=generation, **settings)

    def update(self, values, generation, load_id=None, **settings):
        """Each is a load of its own too."""
        self.loads += 1
        self.report = Report(load_id or f"6f0f5d3a-0000-4000-8000-{self.loads:012}", self.named)
        what = Update(self.wanted(generation=generation, **settings))
        load_update(self.client, lambda: opened(rows(values)), self.staging, self.report, what)
        return self.report

    def expire(self, keys, generation=None, load_id=None, suppress=False, **settings):
        """Make records of these keys expire; each is a load of its own too."""
        self.loads += 1
        self.report = Report(load_id or f"6f0f5d3a-0000-4000-8000-{self.loads:012}", self.named, mode="expire")
        what = ExpireOptions(self.wanted(generation=generation, **settings), suppress)
        expire_keys(self.client, lambda: opened(named(keys)), self.staging, self.report, what)
        return self.report

    @property
    def proof(self):
        """What the last load made to expire, key by key."""
        with self.staging.open(f"reports/{self.report.load_id}.expired.jsonl") as lines:
            return {told["key"]: told for told in map(json.loads, lines)}

    @property
    def values(self):
        return {key: data.get("value") for key, data in self.visible.items()}

    @property
    def sent(self):
        return sum(records for records, _, _ in self.requests)


def named(keys):
    """A source of keys, with something else about them."""
    text = pa.array(["secret"] * len(keys), pa.string())
    return [pa.RecordBatch.from_pydict({"id": pa.array(list(keys), pa.string()), "asked_by": text})]


def rows(values):
    """A source of {key: value}, in one batch."""
    keys, held = list(values), list(values.values())
    return [pa.RecordBatch.from_pydict({"id": pa.array(keys, pa.string()), "value": pa.array(held, pa.string())})]


def counts(report):
    """Rows accepted, unchanged, stale and unsent."""
    return report.accepted, report.unchanged, report.stale, report.unsent


def planned(target, values, generation, **settings):
    """The report of a dry run."""
    report = Report("6f0f5d3a-0000-4000-8000-00000000f00d", {})
    settings = {"mode": "changed", "source_is": "snapshot", "guards": NO_GUARDS, **settings}
    wanted = target.wanted(generation=generation, **settings)
    plan(target.client, lambda: opened(rows(values)), target.staging, report, wanted)
    return report
