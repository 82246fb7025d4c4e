"""The rows that a plan concerns, written to staging: to be sent, kept in the ledger, or expired; and examples."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.plan.diff import Diff
from optimove_provider.loads.plan.plan import SENT_KINDS, PlanInput
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import LEDGER, ROWS
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Mask
from optimove_provider.records.to_json.scalars import string_text

MAX_GONE = 3
EXAMPLES = {"changed": 10, "unknown": 3, "new": 3, "removed": 3}
"""How many of each kind of change are shown to people."""
MAX_COLUMNS = 20
"""Of one of them, unless it is a change, which is shown whole."""


class PlanWriter:
    """Writes the files of one plan, and finds what is to be said of them."""

    def __init__(self, staging: Staging, manifest: Manifest, load: PlanInput, folder: str, rows: int) -> None:
        self.staging, self.manifest, self.load, self.rows = staging, manifest, load, rows
        self.sources = layers.of_all(staging, manifest)
        self.sent, self.kept, self._removed = (f"{folder}/{name}" for name in ("sent", "kept", "removed"))
        self.removed: str | None = None
        self.examples: tuple[Mapping[str, Any], ...] = ()
        self.gone_examples: tuple[str, ...] = ()
        self.warnings: list[str] = []

    def write(self, found: Diff, counts: Mapping[str, int]) -> None:
        """Write the files, and find the examples."""
        to_send = sum(counts[kind] for kind in SENT_KINDS)
        if to_send and to_send == self.rows:
            self.sent = self.load.rows_folder
        elif to_send:
            row_files.write(self.staging, f"{self.sent}/rows.parquet", found.picked(*SENT_KINDS), ROWS)
        if counts["removed"] or found.counts()["unchanged"]:
            row_files.write(self.staging, f"{self.kept}/rows.parquet", self._kept(found), LEDGER)
        if self.load.deletes_by and counts["removed"]:
            self._write_deletions(found)
        elif self.load.expires and counts["removed"]:
            self._write_removed(found, counts["removed"])
        if counts["removed"] or counts["reported"]:
            self.gone_examples = self._gone_examples(found)
        if counts["changed"] or self.load.compared:
            self.examples = tuple(self._examples(found, counts))

    def _write_removed(self, found: Diff, removed: int) -> None:
        expirable = Expirable(self._first_key())
        gone = expirable.numbered(self._stored(found.positions("removed")))
        if row_files.write(self.staging, f"{self._removed}/rows.parquet", gone, ROWS):
            self.removed = self._removed
        self.warnings += expirable.warnings(removed)

    def _write_deletions(self, found: Diff) -> None:
        row_files.write(self.staging, f"{self._removed}/rows.parquet", self._deletions(found), ROWS)
        self.removed = self._removed

    def _deletions(self, found: Diff) -> Iterator[pa.RecordBatch]:
        """The records that deletions are about, numbered like those; the key alone where the rest is not known."""
        numbers, done = found.rows_of_removed(), 0
        begin = f"{{{string_text(self.load.deletes_by)}:"
        for batch in self._stored(found.positions("removed")):
            own = pa.array(numbers[done : done + batch.num_rows], pa.int64())
            done += batch.num_rows
            records = pc.coalesce(batch["record"], pc.binary_join_element_wise(begin, batch["key"], "}", ""))
            yield row_files.rows_batch(own, batch["key"], records, batch["fingerprint"], batch["stamp"])

    def _first_key(self) -> str | None:
        """A key of the load: all of them are numbers, or all are texts."""
        for batch in row_files.read_rows(self.staging, self.load.rows_folder, ["_key"]):
            if batch.num_rows:
                return str(batch["_key"][0].as_py())
        return None

    def _stored(self, positions: Mask) -> Iterator[pa.RecordBatch]:
        for batch in layers.read(self.staging, self.sources, LEDGER.names, positions):
            yield batch.select(LEDGER.names)

    def _kept(self, found: Diff) -> Iterator[pa.RecordBatch]:
        """Removed rows as such, and unchanged ones as of now. What a snapshot lacks keeps its age."""
        aged = asdict(self.load.age) if self.load.deletes_by else {}
        for batch in self._stored(found.positions("removed")):
            yield layers.with_values(batch, state="removed", **aged)
        for batch in self._stored(found.positions("unchanged")):  # none of them is of a later age
            yield layers.with_values(batch, state="live", **asdict(self.load.age))

    def _gone_examples(self, found: Diff) -> tuple[str, ...]:
        positions = found.positions("removed", "reported", most=MAX_GONE)
        keys = (key for batch in self._stored(positions) for key in batch["key"].to_pylist())
        return tuple(keys)

    def _examples(self, found: Diff, counts: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
        """Some of each kind that is there: what is new has nothing before, what is removed nothing after."""
        for kind in (kind for kind in EXAMPLES if counts[kind]):
            new = found.picked(kind, most=EXAMPLES[kind]) if kind != "removed" else iter(())
            old = self._stored(found.positions(kind, most=EXAMPLES[kind])) if kind != "new" else iter(())
            yield from change_examples(kind, new, old)


class Expirable:
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
            yield row_files.rows_batch(numbers, own["key"], own["record"], own["fingerprint"], own["stamp"])
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


def change_examples(
    kind: str, new: Iterable[pa.RecordBatch], old: Iterable[pa.RecordBatch]
) -> Iterator[Mapping[str, Any]]:
    """Of rows of a load, and the same keys in the ledger: kind, key, and [old, new] by each column that differs; None
    where a record is not there, or what it holds is not known."""
    before = {row["key"]: row["record"] for batch in old for row in batch.to_pylist()}
    after = {row["_key"]: row["_record"] for batch in new for row in batch.to_pylist()}
    for key in after or before:
        was, is_now = (json.loads(side.get(key) or "{}") for side in (before, after))
        differs = [name for name in sorted(was.keys() | is_now.keys()) if was.get(name) != is_now.get(name)]
        shown = differs if kind == "changed" else differs[:MAX_COLUMNS]
        columns = {name: [was.get(name), is_now.get(name)] for name in shown}
        yield {"kind": kind, "key": json.loads(key), "columns": columns}
