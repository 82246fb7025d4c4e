"""Which owed rows a load sends, which are dropped, and why: found while it is planned, against the same ledger."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.ledger.query import CURRENT, age_parameters, micros, open_ledger
from optimove_provider.loads.owed.rows import OWED, ROWS_FILE, SENT, as_sent, picked, read_owed
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROW_GROUP
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression.suppression_list import list_of
from optimove_provider.records.arrow.types import Mask

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

OWN, SNAPSHOT, NEWER, SUPPRESSED = "own_rows", "snapshot", "newer", "suppressed"
DROPPED = {
    SUPPRESSED: "their key is on the suppression list",
    OWN: "the load has a row of their key",
    SNAPSHOT: "a snapshot is newer",
    NEWER: "the ledger has a word on their key that is as new or newer",
}
"""Why an owed row is not the newest word on its key any more."""
_DUE, _WAITING = "due", "waiting"
_JUDGED = ("key", "generation", "opened", "tries", "since")
_TIMES = ("generation", "opened", "since")
_JUDGED_SCHEMA = pa.schema(
    [
        *((name, pa.string() if name == "key" else pa.int64()) for name in _JUDGED),
        ("suppressed", pa.bool_()),
        ("position", pa.int64()),
    ]
)
_NEVER = -(1 << 62)
"""In microseconds: before anything."""
_KEYS = pa.schema([("_key", pa.string())])
# Of a row that is owed, `is_later` says that the load itself is older: it knows nothing newer of the key, and waits for
# nobody. A snapshot says what is there, so what is owed from before is gone, or is among its rows.
_WHY = f"""CASE
    WHEN suppressed THEN '{SUPPRESSED}'
    WHEN has_own AND NOT is_later THEN '{OWN}'
    WHEN (generation, opened) < ($snapshot_generation, $snapshot_opened) THEN '{SNAPSHOT}'
    WHEN $is_snapshot AND NOT is_later THEN '{SNAPSHOT}'
    WHEN known_generation IS NOT NULL
        AND (known_generation, known_opened) >= (generation, opened) THEN '{NEWER}'
    WHEN is_later OR tries >= $owed_tries THEN '{_WAITING}'
    ELSE '{_DUE}' END"""
_CHOICE = f"""SELECT position, CASE
        WHEN why = '{_DUE}' AND row_number() OVER (PARTITION BY why ORDER BY tries, since, key) > $most
        THEN '{_WAITING}' ELSE why END AS why
    FROM (SELECT *, {_WHY} AS why FROM (
        SELECT owed.*, own._key IS NOT NULL AS has_own, known.generation AS known_generation,
            known.opened AS known_opened, (owed.generation, owed.opened) > ($generation, $opened) AS is_later
        FROM owed LEFT JOIN own ON owed.key = own._key LEFT JOIN known ON owed.key = known.key))"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class OwedLimits:
    """`adds`: what the server refuses of the load's own rows is owed. Owed rows are sent again up to `tries` times, and
    at most so many with one load, each with the load's `stamp`, if it has one."""

    adds: bool = False
    tries: int = 0
    most: int = 0
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """The load that asks for owed rows: its own, how old they are, and whether they are all that is to be there."""

    rows_folder: str
    age: Age
    is_snapshot: bool
    limits: OwedLimits


@dataclass(frozen=True, slots=True)
class OwedPlan:
    """What a load does about the rows that are owed: of so many that were `before`, `stay` as they are, `rows` are
    sent, and the others are `dropped`, counted by the words of DROPPED.

    `sent` is the folder of those that are sent, with a `digest` of them, and `waiting` that of those that stay; ""
    where there are none, or nothing changes for any of them.
    """

    before: int = 0
    stay: int = 0
    rows: int = 0
    sent: str = ""
    digest: str = ""
    waiting: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_changes(self) -> bool:
        """Whether any row that is owed is sent or dropped."""
        return self.stay < self.before


def choose_owed(staging: Staging, manifest: Manifest, asking: Asking, folder: str, max_memory: str) -> OwedPlan | None:
    """Choose among the rows that are owed, and write what was chosen to `folder`.

    None where none are owed, and none will be.
    """
    if manifest.owed is None:
        return OwedPlan() if asking.limits.adds else None
    why = _judged(staging, manifest, asking, max_memory)
    counts = {name: int(np.count_nonzero(why == name)) for name in (_DUE, _WAITING, *DROPPED)}
    found = OwedPlan(manifest.owed.rows, counts[_WAITING], counts[_DUE])
    if not found.has_changes:
        return found
    sent, digest, waiting = "", "", ""
    if found.rows:
        sent = f"{folder}/owed"
        digest = _write_sent(staging, manifest, sent, why == _DUE, asking.limits.stamp)
    if found.stay:
        waiting = f"{folder}/owed-waiting"
        stay = picked(read_owed(staging, manifest.owed), why == _WAITING)
        row_files.write(staging, f"{waiting}/{ROWS_FILE}", stay, OWED)
    dropped = {name: counts[name] for name in DROPPED if counts[name]}
    return replace(found, sent=sent, digest=digest, waiting=waiting, dropped=dropped)


def _write_sent(staging: Staging, manifest: Manifest, folder: str, due: Mask, stamp: str) -> str:
    """Write the rows that are sent; returns a digest of their keys, records and ages."""
    digest = hashlib.sha256()

    def digested() -> Iterator[pa.RecordBatch]:
        for batch in as_sent(picked(read_owed(staging, manifest.owed), due), stamp):
            for row in batch.select(["_key", "_fingerprint", "generation", "opened"]).to_pylist():
                digest.update(repr(tuple(row.values())).encode())
            yield batch

    row_files.write(staging, f"{folder}/{ROWS_FILE}", digested(), SENT)
    return digest.hexdigest()[:16]


def _judged(staging: Staging, manifest: Manifest, asking: Asking, max_memory: str) -> npt.NDArray[np.str_]:
    """What becomes of each row that is owed, by its position."""
    assert manifest.owed  # noqa: S101 - whoever asks has looked
    newest = manifest.newest_snapshot
    parameters = {
        **age_parameters(asking.age),
        "snapshot_generation": micros(newest.age.generation) if newest else _NEVER,
        "snapshot_opened": micros(newest.age.opened) if newest else _NEVER,
        "is_snapshot": asking.is_snapshot,
        "owed_tries": asking.limits.tries,
        "most": asking.limits.most,
    }
    found = np.full(manifest.owed.rows, _WAITING, dtype=f"<U{max(map(len, (*DROPPED, _WAITING)))}")
    with open_ledger(staging, manifest, max_memory) as (connection, _):
        _view(connection, staging, manifest, asking.rows_folder)
        for batch in connection.sql(_CHOICE, params=parameters).to_arrow_reader(ROW_GROUP):
            found[batch.column(0).to_numpy()] = batch.column(1).to_pylist()
    return found


def _view(connection: "DuckDBPyConnection", staging: Staging, manifest: Manifest, rows_folder: str) -> None:
    """Make tables of what is owed, and of what the load and the ledger have of the same keys."""
    connection.register("stored_owed", pa.RecordBatchReader.from_batches(_JUDGED_SCHEMA, _judge_by(staging, manifest)))
    connection.execute("CREATE TABLE owed AS SELECT * FROM stored_owed")
    keys = (batch.select(["_key"]) for batch in row_files.read_rows(staging, rows_folder, ["_key"]))
    connection.register("loaded", pa.RecordBatchReader.from_batches(_KEYS, keys))
    connection.execute("CREATE TABLE own AS SELECT DISTINCT _key FROM loaded WHERE _key IN (SELECT key FROM owed)")
    known = f"SELECT key, generation, opened FROM ({CURRENT}) WHERE key IN (SELECT key FROM owed)"  # noqa: S608
    connection.execute(f"CREATE TABLE known AS {known}")


def _judge_by(staging: Staging, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    first, known = 0, list_of(staging, manifest)
    for batch in read_owed(staging, manifest.owed):
        positions = pa.array(np.arange(first, first + batch.num_rows, dtype=np.int64))
        columns = (batch[name].cast(pa.int64()) if name in _TIMES else batch[name] for name in _JUDGED)
        suppressed = known.among(batch["key"].to_pylist()) if known else np.zeros(batch.num_rows, np.bool_)
        yield pa.record_batch([*columns, pa.array(suppressed), positions], schema=_JUDGED_SCHEMA)
        first += batch.num_rows
