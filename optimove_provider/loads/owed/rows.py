"""Owed rows as Parquet: all that are owed to a target, in one file that its manifest names; and what a load sends.

Each has the age of the load that could not bring it, and is accepted with that age. What the ledger says of its key
meanwhile, that it was refused, or may have been sent, is just older: so an owed row never looks outdated by itself,
and whatever else is of its age or newer is a later word on its key.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.ledger.manifest import Owed
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import LEDGER, Batches
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.journal import Rejection
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Mask

_TIME = pa.timestamp("us", "UTC")
OWED = pa.schema(
    [
        ("key", pa.string()),  # JSON text
        ("record", pa.string()),  # canonical JSON text, as it was sent
        ("generation", _TIME),
        ("opened", _TIME),  # with the generation, the age
        ("reason", pa.string()),  # the server's own words, the last time
        ("status", pa.int64()),  # of that answer
        ("tries", pa.int64()),  # how often it was sent again, and refused again
        ("since", _TIME),  # when it was refused first
        ("load_id", pa.string()),  # the load that could not bring it
    ]
)
_KEPT = OWED.names[2:]
SENT = pa.schema(
    [
        *row_files.ROWS,
        *(OWED.field(name) for name in _KEPT),
        ("mark_generation", _TIME),
        ("mark_opened", _TIME),  # with that, the age of what the ledger says of the key while it is owed
    ]
)
"""Owed rows that a load sends: rows of a load, with what is known of each."""
ROWS_FILE = "rows.parquet"
_INSTANT = pa.scalar(1, pa.duration("us"))


def read_owed(staging: Staging, owed: Owed | None) -> Iterator[pa.RecordBatch]:
    """All rows that are owed, with the columns of OWED. Raises DataError for a file of a newer format."""
    if owed:
        yield from row_files.read(staging, owed.path, OWED.names)


def write_owed(staging: Staging, folder: str, batches: Batches) -> Owed | None:
    """A new file of owed rows; None where there are none."""
    path = f"{folder}/{staging.surroundings.new_id()}.parquet"
    rows = row_files.write(staging, path, batches, OWED)
    if rows:
        return Owed(path, rows)
    staging.remove_folder(path)
    return None


def picked(batches: Batches, wanted: Mask) -> Iterator[pa.RecordBatch]:
    """Those whose position, from 0, is wanted."""
    first = 0
    for batch in batches:
        yield batch.filter(pa.array(wanted[first : first + batch.num_rows]))
        first += batch.num_rows


def as_sent(batches: Batches, stamp: str = "") -> Iterator[pa.RecordBatch]:
    """Owed rows as a load sends them, numbered from 1; `stamp`, a JSON object, is sent with each."""
    last = 0
    for batch in batches:
        numbers = pa.array(np.arange(last + 1, last + 1 + batch.num_rows, dtype=np.int64))
        opened = pc.subtract(batch["opened"], _INSTANT)
        generation = pc.if_else(pc.less(batch["generation"], opened), batch["generation"], opened)
        stamps = pa.repeat(pa.scalar(stamp or None, pa.string()), batch.num_rows)
        own = [numbers, batch["key"], batch["record"], row_files.fingerprints(batch["record"]), stamps]
        yield pa.record_batch([*own, *(batch[name] for name in _KEPT), generation, opened], schema=SENT)
        last += batch.num_rows


def refused_again(batches: Batches, refused: Mapping[int, Rejection]) -> Iterator[pa.RecordBatch]:
    """Of sent rows those that were refused once more, as they are owed from then on."""
    for batch in batches:
        some = among(batch, refused)
        kept = {name: some[name] for name in _KEPT} | {"tries": pc.add(some["tries"], 1)}
        yield _batch(OWED, {"key": some["_key"], "record": some["_record"], **kept, **_answers(some, refused)})


def newly_owed(
    batches: Batches, refused: Mapping[int, Rejection], age: Age, load_id: str, since: datetime
) -> Iterator[pa.RecordBatch]:
    """Of a load's own rows those that were refused."""
    for batch in batches:
        some = among(batch, refused)
        found = {"key": some["_key"], "record": some["_record"], **_answers(some, refused)}
        yield _batch(OWED, found, **asdict(age), tries=0, since=since, load_id=load_id)


def paid(
    batches: Batches, refused: Collection[int], expires: datetime | None, evidence: str | None
) -> Iterator[pa.RecordBatch]:
    """Rows of the ledger of what was sent and accepted, each of its own age."""
    for batch in batches:
        some = among(batch, refused, invert=True)
        found = _columns(some, "fingerprint")
        age = {"generation": some["generation"], "opened": some["opened"]}
        yield _batch(LEDGER, {**found, **age}, expires=expires, state="live", evidence=evidence)


def doubtful(batches: Batches, refused: Collection[int]) -> Iterator[pa.RecordBatch]:
    """Rows of the ledger of what was refused, but may have arrived in an earlier batch: what is there is unknown."""
    for batch in batches:
        some = among(batch, refused)
        found = _columns(some, "judged_by")
        age = {"generation": some["mark_generation"], "opened": some["mark_opened"]}
        yield _batch(LEDGER, {**found, **age, "unproven_since": some["mark_opened"]}, state="live")


def _columns(sent: pa.RecordBatch, fingerprint: str) -> dict[str, pa.Array]:
    """Columns of the ledger, of rows that were sent; their fingerprint is either of its two."""
    names = {"key": "_key", "record": "_record", fingerprint: "_fingerprint", "stamp": "_stamp"}
    return {name: sent[own] for name, own in names.items()}


def among(batch: pa.RecordBatch, numbers: Collection[int], invert: bool = False) -> pa.RecordBatch:
    """The rows with these numbers, or the others."""
    wanted = np.fromiter(numbers, np.int64, len(numbers))
    return batch.filter(pa.array(np.isin(batch["_row"].to_numpy(), wanted, invert=invert)))


def _answers(rows: pa.RecordBatch, refused: Mapping[int, Rejection]) -> dict[str, pa.Array]:
    told = [refused[row] for row in rows["_row"].to_pylist()]
    return {
        "reason": pa.array([one.reason for one in told], pa.string()),
        "status": pa.array([one.status for one in told], pa.int64()),
    }


def _batch(schema: pa.Schema, columns: Mapping[str, pa.Array], **constants: Any) -> pa.RecordBatch:
    """Rows of a schema: columns, and what is the same in all rows; null in the others."""
    rows = len(columns[schema.names[0]])
    repeated = (
        columns.get(field.name, pa.repeat(pa.scalar(constants.get(field.name), field.type), rows)) for field in schema
    )
    return pa.record_batch(list(repeated), schema=schema)
