"""A load's rows against the ledger, out of core: what becomes of each, by row number and by position.

DuckDB joins keys, fingerprints and times only. The records stay in their files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.ledger.query import CURRENT, NEWER, age_parameters, masked, micros, open_ledger
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROW_GROUP, ROWS
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression.suppressed_rows import suppressed_rows
from optimove_provider.records.arrow.duck import quoted
from optimove_provider.records.arrow.types import Integers, Mask

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


_LOADED = "SELECT _row AS row, _key, _fingerprint, refused, suppressed, deleted FROM loaded"

# What a row of the load, a row of the ledger, or both with one key, mean. A refused row has its key in the source, and
# so is not removed, but cannot be sent. NULL: nothing is to be done.
_KIND = f"""CASE
    WHEN row IS NULL THEN CASE
        WHEN NOT $tells_gone OR state = 'tombstone' OR {NEWER} THEN NULL
        WHEN state = 'removed' AND NOT $expires_removed THEN 'reported'
        ELSE 'removed' END
    WHEN refused THEN NULL
    WHEN suppressed THEN 'suppressed'
    WHEN {NEWER} THEN 'stale'
    WHEN deleted THEN CASE WHEN key IS NULL OR state = 'tombstone' THEN 'absent' ELSE 'removed' END
    WHEN key IS NULL OR state = 'tombstone' THEN 'new'
    WHEN fingerprint IS NULL OR _fingerprint IS NULL THEN 'unknown'
    WHEN fingerprint <> _fingerprint THEN 'changed'
    WHEN $trust_nothing THEN 'unknown'
    WHEN expires < $expires_before THEN 'expiring'
    WHEN unproven_since < $reverify_before THEN 'reverified'
    ELSE 'unchanged' END"""

# Of a snapshot, an unchanged row needs nothing, unless it was removed before and has come back.
_DIFF = f"""CREATE TABLE diff AS
    SELECT row, position, kind::change_kind AS kind, kind = 'unknown' AND judged_by <> _fingerprint AS may_change,
        kind IN ('removed', 'reported') AND coalesce(expires > $now, true) AS is_gone,
        state = 'removed' AS was_reported,
        CASE WHEN kind IN ('new', 'changed', 'unknown', 'removed')
        THEN md5_number(concat_ws(' ', kind, coalesce(_key, key), hex(coalesce(_fingerprint, fingerprint)))) END
        AS row_digest
    FROM (SELECT *, {_KIND} AS kind FROM ({CURRENT}) {{join}} JOIN ({_LOADED}) ON key = _key)
    WHERE kind IS NOT NULL AND NOT (kind = 'unchanged' AND $is_snapshot AND state = 'live')"""  # noqa: S608

_FEW = 10
"""One in so many rows, or fewer, DuckDB finds and sorts in less time than it takes to read all of them."""
ROW_KINDS = ("new", "changed", "unknown", "expiring", "reverified", "unchanged", "stale", "suppressed")
CHANGE_KINDS = (*ROW_KINDS, "removed", "reported", "absent")
"""What becomes of a row: docs/ledger.md says when. Of `reported`, it was removed and reported before; of `absent`, it
is a deletion of a key that is not there."""


NEVER = datetime.min.replace(tzinfo=UTC)
"""Before anything was accepted."""


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """What a load is compared by, `now`. `expires_before`: a row that goes earlier is sent again.
    `asks_for_changes`: fingerprints that the rows lack are made, or else such rows are unknown. `trust_nothing`: a
    row that looks unchanged is unknown. `reverify_before`: what was accepted earlier, and counted by nobody, is
    sent again. `tells_gone`: what a snapshot lacks is removed. `expires_removed`: it will be made to expire, so
    that it is removed also if it was reported before.
    """

    source_is: Literal["snapshot", "delta"]
    age: Age
    expires_before: datetime
    now: datetime
    asks_for_changes: bool = True
    trust_nothing: bool = False
    tells_gone: bool = True
    expires_removed: bool = False
    reverify_before: datetime = NEVER


class Diff:
    """What changes, in a database that lives as long as this object."""

    def __init__(
        self,
        connection: "DuckDBPyConnection",
        staging: Staging,
        folder: str,
        rows: int,
        positions: int,
        can_pick: bool,
    ) -> None:
        self._connection, self._staging, self._folder = connection, staging, folder
        self._rows, self._positions, self._can_pick = rows, positions, can_pick

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind; of a snapshot's unchanged ones only those that came back."""
        found = dict(self._connection.execute("SELECT kind, count(*) FROM diff GROUP BY kind").fetchall())
        return {kind: found.get(kind, 0) for kind in CHANGE_KINDS}

    def may_change(self) -> int:
        """How many unknown rows are not what the target may hold, or was last known to: of those that are judged."""
        found = self._connection.execute("SELECT count(*) FROM diff WHERE may_change").fetchall()[0][0]
        return int(found)

    def gone(self) -> tuple[int, int]:
        """How many keys a snapshot lacks that have not expired: newly, and reported as removed before."""
        query = "SELECT count(*) FILTER (NOT was_reported), count(*) FILTER (was_reported) FROM diff WHERE is_gone"
        newly, before = self._connection.execute(query).fetchall()[0]
        return newly, before

    def digest(self) -> str:
        """A digest of key and fingerprint of all new, changed, unknown and removed rows, in whatever order."""
        found = self._connection.execute("SELECT bit_xor(row_digest) FROM diff").fetchall()[0][0]
        return str(found or 0)

    def picked(self, *kinds: str, most: int | None = None) -> Iterator[pa.RecordBatch]:
        """The load's rows of some kinds, or the first ones of them, in their order."""
        wanted = self._mask("row", kinds, self._rows, most)
        few = np.count_nonzero(wanted) * _FEW < self._rows
        if not (few and self._can_pick and most is None):
            return row_files.pick_rows(self._staging, self._folder, wanted)
        query = f"""SELECT {", ".join(ROWS.names)} FROM fit
            WHERE _row IN (SELECT row FROM diff WHERE list_contains(?, kind::VARCHAR)) ORDER BY _row"""  # noqa: S608
        return iter(self._connection.sql(query, params=[list(kinds)]).to_arrow_reader(ROW_GROUP))

    def positions(self, *kinds: str, most: int | None = None) -> Mask:
        """The ledger's rows of some kinds, or the first ones of them in the order of the load."""
        return self._mask("position", kinds, self._positions, most)

    def rows_of_removed(self) -> Integers:
        """The numbers of the deletions that remove a row of the ledger, in the order of those rows."""
        query = "SELECT row FROM diff WHERE kind = 'removed' ORDER BY position"
        return np.asarray(self._connection.execute(query).fetchnumpy()["row"], np.int64)

    def _mask(self, column: str, kinds: tuple[str, ...], size: int, most: int | None) -> Mask:
        query = f"SELECT {column} FROM diff WHERE list_contains(?, kind::VARCHAR)"  # noqa: S608 - a name of ours
        if most is not None:
            query += f" ORDER BY row LIMIT {most}"
        return masked(self._connection.sql(query, params=[list(kinds)]), size)


@contextmanager
def compare(
    staging: Staging, manifest: Manifest, folder: str, rows: int, options: DiffOptions, max_memory: str
) -> Iterator[Diff]:
    """Compare the rows of a load, in a folder and numbered up to `rows`, with the ledger. Temporary files go."""
    with open_ledger(staging, manifest, max_memory) as (connection, positions):
        has_suppressed = _add_suppressed(connection, suppressed_rows(staging, manifest, folder, rows))
        can_pick = _view_rows(connection, staging, folder, options.asks_for_changes, has_suppressed)
        connection.execute(f"CREATE TYPE change_kind AS ENUM {CHANGE_KINDS}")
        is_snapshot = options.source_is == "snapshot"
        parameters = {
            **age_parameters(options.age),
            "expires_before": micros(options.expires_before),
            "now": micros(options.now),
            "trust_nothing": options.trust_nothing,
            "tells_gone": options.tells_gone,
            "expires_removed": options.expires_removed,
            "reverify_before": micros(options.reverify_before),
            "is_snapshot": is_snapshot,
        }
        connection.execute(_DIFF.format(join="FULL" if is_snapshot and options.tells_gone else "RIGHT"), parameters)
        yield Diff(connection, staging, folder, rows, positions, can_pick)


def still_removed(staging: Staging, manifest: Manifest, folder: str, rows: int, age: Age, max_memory: str) -> Mask:
    """Which of these rows the ledger still has as removed, not of a later age."""
    with open_ledger(staging, manifest, max_memory) as (connection, _):
        _view_rows(connection, staging, folder)
        query = f"""SELECT _row FROM ({CURRENT}) JOIN loaded ON key = _key
            WHERE state = 'removed' AND NOT {NEWER}"""  # noqa: S608
        return masked(connection.sql(query, params=age_parameters(age)), rows)


_VIEWED = ("_row", "_key", "_fingerprint")
_TO_MAKE = (*_VIEWED, "_record")
_LOADED_VIEW = """CREATE VIEW loaded AS
    SELECT _row, _key, _fingerprint, false AS refused, {} AS suppressed, false AS deleted FROM fit
    UNION ALL SELECT _row, _key, _fingerprint, true, false, false FROM unfit
    UNION ALL SELECT _row, _key, _fingerprint, false, false, true FROM gone"""


def _add_suppressed(connection: "DuckDBPyConnection", wanted: Mask | None) -> bool:
    """Make the numbers of the rows that are left out a table, `suppressed_rows`; tells whether there are any."""
    if wanted is None:
        return False
    connection.register("left_out", pa.table({"row": np.flatnonzero(wanted)}))
    connection.execute("CREATE TABLE suppressed_rows AS SELECT * FROM left_out")
    return True


def _view_rows(
    connection: "DuckDBPyConnection",
    staging: Staging,
    folder: str,
    with_fingerprints: bool = False,
    has_suppressed: bool = False,
) -> bool:
    """Make the rows of a load the view `loaded`, without their records; fingerprints that they lack may be made.

    Tells whether the view `fit`, of those that can be sent, has whole rows and can be read again.
    """
    every, fit = row_files.paths(staging, folder), row_files.sendable_paths(staging, folder)
    gone = row_files.deleted_paths(staging, folder)
    makes = with_fingerprints and not all(row_files.describe(staging, path)[1] for path in fit)
    has_stamps = all("_stamp" in row_files.columns(staging, path) for path in fit[:1])  # an older version froze none
    _view(connection, staging, "fit", fit, makes)
    _view(connection, staging, "unfit", [path for path in every if path not in (*fit, *gone)])
    _view(connection, staging, "gone", gone)
    connection.execute(_LOADED_VIEW.format("_row IN (FROM suppressed_rows)" if has_suppressed else "false"))
    return staging.is_local and has_stamps and not makes


def _view(
    connection: "DuckDBPyConnection", staging: Staging, name: str, paths: Sequence[str], makes: bool = False
) -> None:
    """Make a view of files of rows. From a local disk DuckDB reads them itself, on all cores."""
    if paths and staging.is_local and not makes:
        files = ", ".join(quoted(staging.path(path)) for path in paths)
        connection.execute(f"CREATE VIEW {name} AS FROM read_parquet([{files}])")
    else:
        found = (batch for path in paths for batch in row_files.read(staging, path, _TO_MAKE if makes else _VIEWED))
        batches = (_made(batch) if makes else batch for batch in found)
        schema = pa.schema([ROWS.field(column) for column in _VIEWED])
        connection.register(name, pa.RecordBatchReader.from_batches(schema, batches))


def _made(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows with the fingerprints that they lack, and without their records."""
    made = pc.coalesce(batch["_fingerprint"], row_files.fingerprints(batch["_record"]))
    return pa.record_batch([batch["_row"], batch["_key"], made], names=list(_VIEWED))
