"""Deltas with deletions, into an emulated data connection."""

import json

import pyarrow as pa

from optimove_provider.loads.optix.load import load
from optimove_provider.loads.report.report import Report
from tests.support.crash.dying import DyingTarget
from tests.support.optix_target import opened
from tests.support.optix_transactions import NO_GUARDS


class DeltaTarget(DyingTarget):
    """Loads are deltas; a value of ... is a deletion."""

    def delta(self, values, generation, load_id=None, **settings):
        self.loads += 1
        load_id = load_id or f"6f0f5d3a-0000-4000-8000-{self.loads:012}"
        how = {"mode": "changed", "source_is": "delta", "deleted_column": "gone", "guards": NO_GUARDS, **settings}
        return self.rows([delta(values)], load_id, generation=generation, **how)

    def rows(self, batches, load_id, **settings):
        self.report = Report(load_id, {})
        load(self.client, lambda: opened(batches), self.staging, self.report, self.wanted(**settings))
        return self.report

    def sent(self, column="value"):
        """What the last load sent, by key, with its TTL."""
        bodies = [json.loads(body) for body in self.bodies]
        return [(one["id"], one.get(column), body.get("ttl_seconds")) for body in bodies for one in body["data"]]


def delta(values):
    """One batch: {key: value}, of which a value of ... is a deletion."""
    held = [None if value is ... else value for value in values.values()]
    gone = [value is ... for value in values.values()]
    return pa.RecordBatch.from_pydict({"id": pa.array(list(values), pa.string()), "value": held, "gone": gone})
