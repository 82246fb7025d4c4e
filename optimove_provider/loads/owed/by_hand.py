"""Owed rows for people: listed, dropped, let go again though they were tried often, or saved to be mended."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.wire.errors import DataError
from optimove_provider.loads.ledger.lease import Lease, acquired_for
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.owed.rows import OWED, read_owed, write_owed
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Mask
from optimove_provider.records.rejected_lines import Marker, marked, rejected_line

COMMAND = "airflow optimove ledger owed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which owed rows are meant: those with one of the keys, as JSON texts, and of one load; empty means all."""

    keys: tuple[str, ...] = ()
    load_id: str = ""

    def among(self, batch: pa.RecordBatch) -> Mask:
        """Which rows of a batch they are."""
        found = np.ones(batch.num_rows, np.bool_)
        if self.keys:
            found &= pc.is_in(batch["key"], pa.array(self.keys)).to_numpy(zero_copy_only=False)
        if self.load_id:
            found &= pc.equal(batch["load_id"], self.load_id).to_numpy(zero_copy_only=False)
        return found


def owed_rows(staging: Staging, manifest: Manifest, wanted: Wanted = Wanted()) -> Iterator[dict[str, Any]]:
    """The rows, with the columns of OWED: key and record as what they are, no texts of JSON."""
    for batch in read_owed(staging, manifest.owed):
        for row in batch.filter(pa.array(wanted.among(batch))).to_pylist():
            yield {**row, "key": json.loads(row["key"]), "record": json.loads(row["record"])}


def by_hand(ledger: Ledger) -> AbstractContextManager[Lease]:
    """The lease under which a person changes what is owed. Raises TargetBusy while a load has it."""
    return acquired_for(ledger.manifest_file, COMMAND)


def drop_owed(ledger: Ledger, lease: Lease, wanted: Wanted) -> int:
    """Drop rows; returns how many. Raises LeaseLost."""
    return _edited(ledger, lease, wanted, lambda batch: batch.slice(0, 0))


def let_go_again(ledger: Ledger, lease: Lease, wanted: Wanted) -> int:
    """Let rows go again with the next loads, however often they were tried; returns how many. Raises LeaseLost."""
    tries = OWED.get_field_index("tries")

    def untried(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.set_column(tries, OWED.field(tries), pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows))

    return _edited(ledger, lease, wanted, untried)


def _edited(ledger: Ledger, lease: Lease, wanted: Wanted, edit: Callable[[pa.RecordBatch], pa.RecordBatch]) -> int:
    """Replace the rows that are wanted by what `edit` makes of them. A plan that was made before holds no more."""
    staging, changed = ledger.staging, 0

    def edited(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        nonlocal changed
        for batch in batches:
            mask = wanted.among(batch)
            changed += int(np.count_nonzero(mask))
            yield batch.filter(pa.array(~mask))
            yield edit(batch.filter(pa.array(mask)))

    left = write_owed(staging, ledger.owed_folder, edited(read_owed(staging, ledger.read().owed)))
    now = staging.surroundings.now()
    lease.change(lambda manifest: manifest.owing(left, now).changed())
    return changed


def as_rejected_lines(staging: Staging, manifest: Manifest, wanted: Wanted) -> Iterator[bytes]:
    """The rows as lines of a file of rejected rows, which a replay sends again, mended or not, with their own age.

    Raises DataError where they are of several loads: a replay knows one age.
    """
    loads = {row["load_id"]: _age(row) for row in owed_rows(staging, manifest, wanted)}
    if len(loads) > 1:
        raise DataError(
            f"these owed rows are of {len(loads)} loads, and a file that is replayed has rows of one: name it with "
            f"--load-id, such as {sorted(loads)[0]}"
        )
    return _lines(staging, manifest, wanted)


def _lines(staging: Staging, manifest: Manifest, wanted: Wanted) -> Iterator[bytes]:
    number = 0
    for batch in read_owed(staging, manifest.owed):
        for row in batch.filter(pa.array(wanted.among(batch))).to_pylist():
            number += 1
            line = rejected_line(number, row["reason"], row["status"], row["record"])
            yield marked(line, Marker(row["load_id"], *_age(row)))


def _age(row: dict[str, Any]) -> tuple[datetime, datetime]:
    return row["generation"], row["opened"]
