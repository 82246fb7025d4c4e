"""A load's rows against the ledger, out of core: what becomes of each, by row number and by position.

DuckDB joins keys, fingerprints and times only. The records stay in their files.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from optimove_provider.disk.temporary import TemporaryFolder
from optimove_provider.loads.compare.digests import DealtRows
from optimove_provider.loads.compare.key_ranges import in_ranges, ranges_for
from optimove_provider.loads.compare.load_views import (
    add_other_numbers,
    add_suppressed,
    keep_of_fit,
    lacks_fingerprints,
    view_rows,
)
from optimove_provider.loads.compare.same_rows import DigestsAtHand, SameRows, find_same, may_have_same
from optimove_provider.loads.ledger.manifest import KeyDigest, Manifest
from optimove_provider.loads.ledger.query import (
    CURRENT,
    NEWER,
    age_parameters,
    keep_of_bottom,
    masked,
    micros,
    open_ledger,
    view_bottom,
)
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROW_GROUP, ROWS
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression.suppressed_rows import suppressed_rows
from optimove_provider.records.arrow.duck import tables_in_file
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
_DIFF = f"""SELECT row, position, kind::change_kind AS kind,
        kind = 'unknown' AND judged_by <> _fingerprint AS may_change,
        kind IN ('removed', 'reported') AND coalesce(expires > $now, true) AS is_gone,
        state = 'removed' AS was_reported,
        CASE WHEN kind IN ('new', 'changed', 'unknown', 'removed')
        THEN md5_number(concat_ws(' ', kind, coalesce(_key, key), hex(coalesce(_fingerprint, fingerprint)))) END
        AS row_digest
    FROM (SELECT *, {_KIND} AS kind FROM ({{current}}) {{join}} JOIN ({{loaded}}) ON key = _key)
    WHERE kind IS NOT NULL AND NOT (kind = 'unchanged' AND $is_snapshot AND state = 'live')"""  # noqa: S608

# The same where the ledger has no row, so that there is nothing to join.
_ALL_NEW = """SELECT *,
        CASE kind WHEN 'new' THEN md5_number(concat_ws(' ', kind, _key, hex(_fingerprint))) END AS row_digest
    FROM (SELECT _row AS row, NULL::BIGINT AS position, _key, _fingerprint,
        CASE WHEN suppressed THEN 'suppressed' WHEN deleted THEN 'absent' ELSE 'new' END::change_kind AS kind,
        false AS may_change, false AS is_gone, false AS was_reported
        FROM loaded WHERE NOT refused)"""

# What stays as it is if the load has it as the ledger has: the rules are asked about each row beside itself.
_STAYS = f"state = 'live' AND {_KIND} = 'unchanged'"
_ITSELF = "0 AS row, false AS refused, false AS suppressed, false AS deleted"
_STAYING = f"""SELECT fingerprint, key, position AS number
    FROM (SELECT *, key AS _key, fingerprint AS _fingerprint, {_ITSELF} FROM ({{current}})) WHERE {_STAYS}"""  # noqa: S608
_STANDING = """SELECT _fingerprint AS fingerprint, _key AS key, _row AS number
    FROM loaded WHERE NOT (refused OR suppressed OR deleted)"""

# Of the bottom layers, the rows that do not stay, as far as that can be told without their texts, or that do not count.
_PASSING = f"""SELECT position FROM (SELECT * REPLACE ('' AS key, ''::BLOB AS fingerprint), ''::BLOB AS _fingerprint,
        key AS own_key, {_ITSELF} FROM stored_bottom)
    WHERE NOT coalesce({_STAYS}, false)"""  # noqa: S608
_REPLACED = " OR own_key IN (SELECT key FROM above)"

IN_A_FILE_FROM = 16_000_000
"""Of more rows, the tables of a comparison lie in a file."""
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
        unchanged: SameRows | None = None,
    ) -> None:
        self._connection, self._staging, self._folder = connection, staging, folder
        self._rows, self._positions, self._can_pick = rows, positions, can_pick
        self._unchanged = unchanged  # of a delta, those that the database does not know

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind; of a snapshot's unchanged ones only those that came back."""
        found = dict(self._connection.execute("SELECT kind, count(*) FROM diff GROUP BY kind").fetchall())
        found["unchanged"] = found.get("unchanged", 0) + (self._unchanged.count if self._unchanged else 0)
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
        found = self._mask("position", kinds, self._positions, most)
        return found | self._unchanged.positions if self._unchanged and "unchanged" in kinds else found

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
        connection.execute(f"CREATE TYPE change_kind AS ENUM {CHANGE_KINDS}")
        suppressed = suppressed_rows(staging, manifest, folder, rows)
        has_suppressed = add_suppressed(connection, suppressed)
        makes = options.asks_for_changes and lacks_fingerprints(staging, folder)
        can_pick = view_rows(connection, staging, folder, makes, has_suppressed)
        comparison = _Comparison(connection, options, manifest.key_digest)
        if may_have_same(manifest, rows, positions) and not (makes or options.trust_nothing):
            with TemporaryFolder() as temporary, temporary.telling():
                at_hand = DigestsAtHand(connection, staging, manifest, temporary.path)
                same = comparison.find_same(at_hand, folder, suppressed, rows, positions)
            view_bottom(connection, staging, manifest)
            view_rows(connection, staging, folder, makes, has_suppressed)
            comparison.leave_out(same)
            del same  # two masks, of all rows: only of a delta the comparison needs them from here on
            comparison.keep_left(can_pick, partial(keep_of_bottom, connection, staging, manifest))
        comparison.write(rows, positions, can_pick)
        yield Diff(connection, staging, folder, rows, positions, can_pick, comparison.unchanged)


class _Comparison:
    """The rules asked in a database, about all rows or about what is left of them, and written to its table `diff`."""

    def __init__(self, connection: "DuckDBPyConnection", options: DiffOptions, digest: KeyDigest) -> None:
        self._connection, self._digest = connection, digest
        self._is_snapshot = options.source_is == "snapshot"
        self._joins_all = self._is_snapshot and options.tells_gone
        self._current, self._loaded = CURRENT, _LOADED
        self._left_out = 0
        self._few_rows = self._few_positions = False
        self.unchanged: SameRows | None = None
        self._parameters = {
            **age_parameters(options.age),
            "expires_before": micros(options.expires_before),
            "now": micros(options.now),
            "trust_nothing": options.trust_nothing,
            "tells_gone": options.tells_gone,
            "expires_removed": options.expires_removed,
            "reverify_before": micros(options.reverify_before),
            "is_snapshot": self._is_snapshot,
        }

    def find_same(
        self, digests: DigestsAtHand, folder: str, suppressed: Mask | None, rows: int, positions: int
    ) -> SameRows:
        """Find what stays as it is without a join."""
        if bottom := digests.of_bottom():
            above = digests.made("above", *self._asked(_STAYING.format(current="SELECT * FROM above")))
            known = DealtRows([*bottom, above], self._passing(positions))
        else:
            known = DealtRows([digests.made("known", *self._asked(_STAYING.format(current=CURRENT)))])
        if kept := digests.of_load(folder):
            return find_same(known, DealtRows(kept, suppressed), rows, positions)
        return find_same(known, DealtRows([digests.made("loaded", _STANDING)]), rows, positions)

    def _passing(self, positions: int) -> Mask | None:
        """The positions of rows of the bottom layers that do not stay, or that do not count."""
        has_above = bool(self._connection.execute("SELECT count(*) FROM above").fetchall()[0][0])
        query, parameters = self._asked(_PASSING + (_REPLACED if has_above else ""))
        found = masked(self._connection.sql(query, params=parameters), positions)
        return found if found.any() else None

    def _asked(self, query: str) -> tuple[str, dict[str, Any]]:
        return query, {name: value for name, value in self._parameters.items() if f"${name}" in query}

    def leave_out(self, same: SameRows) -> None:
        """Leave out of the join what stays, where that leaves little."""
        if not same.leaves_few(self._joins_all):
            return
        add_other_numbers(self._connection, "left_rows", same.rows)
        self._loaded = f"{_LOADED} WHERE _row IN (FROM left_rows)"
        self._few_rows = _leaves_few(same.rows, same.count)
        if self._joins_all:  # of a load that tells of its own keys only, the ledger's other rows match none
            add_other_numbers(self._connection, "left_positions", same.positions)
            self._current = f"SELECT * FROM ({CURRENT}) WHERE position IN (FROM left_positions)"  # noqa: S608
            self._few_positions = _leaves_few(same.positions, same.count)
        self._left_out = same.count
        self.unchanged = None if self._is_snapshot else same

    def keep_left(self, can_pick: bool, keep_of_bottom: Callable[[str], None]) -> None:
        """Read what is left once, where it is so little that it is kept."""
        if can_pick and self._few_rows:
            keep_of_fit(self._connection, "left_rows")
        if self._few_positions:
            keep_of_bottom("left_positions")

    def write(self, rows: int, positions: int, can_read_again: bool) -> None:
        """Write the differences, one range of keys after the other; none where all rows are new."""
        if not positions and can_read_again:
            self._connection.execute(f"CREATE VIEW diff AS {_ALL_NEW}")
            return
        joined = (max(rows, positions) if self._joins_all else rows) - self._left_out
        place = tables_in_file(self._connection) if joined > IN_A_FILE_FROM else "main"
        table = f"{place}.differences"
        begin, join = f"CREATE TABLE {table} AS", "FULL" if self._joins_all else "RIGHT"
        ranges = ranges_for(joined)
        dealt = in_ranges(
            self._connection, self._current, self._loaded, ranges, self._digest, place, picked=bool(self._left_out)
        )
        for current, own in dealt:
            query = _DIFF.format(current=current, loaded=own, join=join)
            self._connection.execute(f"{begin} {query}", self._parameters)
            begin = f"INSERT INTO {table}"
        self._connection.execute(f"CREATE VIEW diff AS FROM {table}")


def _leaves_few(found: Mask, count: int) -> bool:
    return (len(found) - count) * _FEW < len(found)


def still_removed(staging: Staging, manifest: Manifest, folder: str, rows: int, age: Age, max_memory: str) -> Mask:
    """Which of these rows the ledger still has as removed, not of a later age."""
    with open_ledger(staging, manifest, max_memory) as (connection, _):
        view_rows(connection, staging, folder)
        query = f"""SELECT _row FROM ({CURRENT}) JOIN loaded ON key = _key
            WHERE state = 'removed' AND NOT {NEWER}"""  # noqa: S608
        return masked(connection.sql(query, params=age_parameters(age)), rows)
