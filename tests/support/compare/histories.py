"""Random histories of a ledger, and all that a comparison of one more load with it tells."""

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa

from optimove_provider.contract.wire.evidence import Evidence
from optimove_provider.loads.plan.diff import CHANGE_KINDS, compare
from optimove_provider.loads.plan.plan import SENT_KINDS
from optimove_provider.loads.plan.planner import _diff_options
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.suppression import suppression_list
from tests.support.ledgers import MEMORY, age, hour, record

KEYS = [f"k{number}" for number in range(40)]
IN_BOTH = [kind for kind in CHANGE_KINDS if kind not in ("new", "suppressed", "absent")]
"""Kinds of what the ledger has."""
UNCOUNTED = Evidence("sampled", 1)


class History:
    """Random loads of a target, and what others did to its ledger meanwhile; then one more load, which is compared."""

    def __init__(self, target, seed):
        self.target, self.chance, self.hour = target, random.Random(seed), 1  # noqa: S311 - no secret
        target.load(dict.fromkeys(KEYS[:35], 1), hour(1))
        for _ in range(self.chance.randint(2, 5)):
            self.chance.choice([self.load, self.load, self.load, self.dies, self.invalidates, self.suppresses])()

    def rows(self, *refused):
        some = self.chance.sample(KEYS, self.chance.choice([3, 25, 40]))
        self.hour += self.chance.choice([1, 1, 1, -1])
        return {key: self.chance.choice([1, 1, 1, 1, 1, 1, 2, *refused]) for key in some}

    def kind(self):
        source = self.chance.choice(["snapshot", "delta"])
        removed = self.chance.choice(["report", "expire"]) if source == "snapshot" else "report"
        return {"source_is": source, "on_removed": removed, "ttl_seconds": self.chance.choice([None, None, 10**7])}

    def load(self):
        evidence = self.chance.choice([{}, {"evidence": UNCOUNTED}])
        rejected = self.chance.choice([(), (), (1,)])
        self.target.load(self.rows(...), hour(self.hour), rejected=rejected, **evidence, **self.kind())

    def dies(self):
        frozen = self.target.frozen(self.rows(), hour(self.hour))
        with self.target.lease(frozen.load_id) as lease:
            if (plan := self.target.plan(frozen)).to_send:
                self.target.write_intent(lease, plan)

    def invalidates(self):
        touched = [(f'"{key}"', self.chance.choice([None, record(key, 1)])) for key in self.chance.sample(KEYS, 5)]
        with self.target.lease("invalidates") as lease:
            self.target.ledger.invalidate(lease, touched, age(self.hour))

    def suppresses(self):
        with self.target.lease("suppresses") as lease:
            suppression_list.add(self.target.ledger, lease, self.chance.sample(KEYS, 3), "test")

    def last(self):
        """A load that is newer, or not; with refused rows, and deletions."""
        how, rows = self.kind(), self.rows(...)
        frozen = self.target.frozen(rows, hour(self.hour), **how)
        if how["source_is"] == "delta" and self.chance.random() < 0.5:
            frozen = replace(frozen, deletes_by="id")
            gone = [f'"{key}"' for key in KEYS if key not in rows][:5]
            deleted = row_files.rows_batch(
                pa.array(range(90, 90 + len(gone))), pa.array(gone, pa.string()), pa.nulls(len(gone), pa.string())
            )
            row_files.write(self.target.staging, f"{frozen.rows_folder}/{row_files.DELETED}.parquet", [deleted], ROWS)
        judged = {"mode": self.chance.choice(["changed", "changed", "changed", "full"])}
        return replace(
            frozen, is_complete=self.chance.random() < 0.8, reverify_after=self.chance.choice([None, 0]), **judged
        )


def told(target, load):
    """All that a comparison tells."""
    staging, manifest = target.staging, target.manifest
    _, last = row_files.size(staging, load.rows_folder)
    options = _diff_options(manifest, load, target.clock())
    with compare(staging, manifest, load.rows_folder, last, options, MEMORY) as diff:
        picked = [row for batch in diff.picked(*SENT_KINDS) for row in batch.to_pylist()]
        positions = {kind: np.flatnonzero(diff.positions(kind)).tolist() for kind in IN_BOTH}
        totals = diff.counts(), diff.may_change(), diff.gone(), diff.digest()
        return totals, positions, picked, diff.rows_of_removed().tolist()
