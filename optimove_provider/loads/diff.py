"""A load's rows against the ledger, out of core: what is to become of each, by row number and by place.

DuckDB joins keys, fingerprints and times only. The records stay in their files.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from optimove_provider.loads import layers, parquet
from optimove_provider.loads.parquet import ROW_GROUP, ROWS, Mask
from optimove_provider.loads.pointer import Pointer
from optimove_provider.loads.staging import Staging

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_EPOCH = datetime.fromtimestamp(0, UTC)
NEVER = datetime.min.replace(tzinfo=UTC)
"""Before everything."""

_COMPARED = ("key", "fingerprint", "generation", "expires", "state")
_COMPARED_SCHEMA = pa.schema(  # times as microseconds: DuckDB need not know of zones
    [
        ("key", pa.string()),
        ("fingerprint", pa.binary()),
        ("generation", pa.int64()),
        ("expires", pa.int64()),
        ("state", pa.string()),
        ("place", pa.int64()),
    ]
)

_SQL_TYPES = {pa.string(): "VARCHAR", pa.binary(): "BLOB", pa.int64(): "BIGINT"}

_ABOVE = """CREATE TABLE above AS SELECT * FROM stored_above
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY place DESC) = 1"""

_CURRENT = """SELECT * FROM stored_base ANTI JOIN above USING (key) UNION ALL SELECT * FROM above"""

_LOADED = "SELECT _row AS row, _key, _made AS made, refused FROM loaded"

# What a row of the load, a row of the ledger, or both with one key, mean. A refused row has its key in the source, and
# so is not removed, but cannot be sent. NULL: nothing is to be done.
_VERDICT = """CASE
    WHEN row IS NULL THEN CASE
        WHEN state = 'tombstone' OR generation > $generation THEN NULL
        WHEN state = 'removed' AND NOT $expires_removed THEN 'reported'
        ELSE 'removed' END
    WHEN refused THEN NULL
    WHEN generation > $generation THEN 'stale'
    WHEN key IS NULL OR state = 'tombstone' THEN 'new'
    WHEN fingerprint IS NULL THEN 'unknown'
    WHEN fingerprint <> made THEN 'changed'
    WHEN $trust_nothing THEN 'unknown'
    WHEN expires < $expires_before THEN 'expiring'
    ELSE 'unchanged' END"""

# Of a snapshot, an unchanged row needs nothing, unless it was removed before and has come back.
_DIFF = f"""CREATE TABLE diff AS
    SELECT row, place, verdict::verdict AS verdict, CASE WHEN verdict IN ('new', 'changed', 'unknown', 'removed')
        THEN md5_number(concat_ws(' ', verdict, coalesce(_key, key), hex(coalesce(made, fingerprint)))) END AS mark
    FROM (SELECT *, {_VERDICT} AS verdict FROM ({_CURRENT}) {{join}} JOIN ({_LOADED}) ON key = _key)
    WHERE verdict IS NOT NULL AND NOT (verdict = 'unchanged' AND $is_snapshot AND state = 'live')"""  # noqa: S608

_MANY = 100
"""Of more files, each a part of one view, the query would be too deep for DuckDB."""

_FEW = 10
"""One in so many rows, or fewer, DuckDB finds and sorts in less time than it takes to read all of them."""

VERDICTS = ("new", "changed", "unknown", "expiring", "unchanged", "stale", "removed", "reported")


@dataclass(frozen=True, slots=True)
class Question:
    """What a load is compared by. `expires_before`: a row that goes earlier is sent again (`NEVER`: none).
    `trust_nothing`: a row that looks unchanged is unknown. `expires_removed`: what is gone from the source will be made
    to expire, so that it is removed also if it was reported before."""

    source_is: Literal["snapshot", "delta"]
    generation: datetime
    expires_before: datetime
    trust_nothing: bool = False
    expires_removed: bool = False


class Diff:
    """The answer, in a database that lives as long as this object."""

    def __init__(self, connection: "DuckDBPyConnection", staging: Staging, folder: str, rows: int, places: int) -> None:
        self._connection, self._staging, self._folder = connection, staging, folder
        self._rows, self._places = rows, places

    def counts(self) -> dict[str, int]:
        """How many rows there are of each verdict; of a snapshot's unchanged ones only those that came back."""
        found = dict(self._connection.execute("SELECT verdict, count(*) FROM diff GROUP BY verdict").fetchall())
        return {verdict: found.get(verdict, 0) for verdict in VERDICTS}

    def mark(self) -> str:
        """A digest of key and fingerprint of all new, changed, unknown and removed rows, in whatever order."""
        found = self._connection.execute("SELECT bit_xor(mark) FROM diff").fetchall()[0][0]
        return str(found or 0)

    def picked(self, *verdicts: str, most: int | None = None) -> Iterator[pa.RecordBatch]:
        """The load's rows of some verdicts, or the first ones of them, in their order."""
        wanted = self._mask("row", verdicts, self._rows, most)
        few = np.count_nonzero(wanted) * _FEW < self._rows
        if not (few and self._staging.is_local and most is None):
            return parquet.pick_rows(self._staging, self._folder, wanted)
        query = f"""SELECT {", ".join(ROWS.names)} FROM fit
            WHERE _row IN (SELECT row FROM diff WHERE list_contains(?, verdict::VARCHAR)) ORDER BY _row"""  # noqa: S608
        return iter(self._connection.sql(query, params=[list(verdicts)]).to_arrow_reader(ROW_GROUP))

    def places(self, *verdicts: str, most: int | None = None) -> Mask:
        """The ledger's rows of some verdicts, or the first ones of them in the order of the load."""
        return self._mask("place", verdicts, self._places, most)

    def _mask(self, column: str, verdicts: tuple[str, ...], size: int, most: int | None) -> Mask:
        query = f"SELECT {column} FROM diff WHERE list_contains(?, verdict::VARCHAR)"  # noqa: S608 - a name of ours
        if most is not None:
            query += f" ORDER BY row LIMIT {most}"
        return _masked(self._connection.sql(query, params=[list(verdicts)]), size)


@contextmanager
def compare(
    staging: Staging, pointer: Pointer, folder: str, rows: int, question: Question, max_memory: str
) -> Iterator[Diff]:
    """Compare the rows of a load, in a folder and numbered up to `rows`, with the ledger. Temporary files go."""
    with _ledger(staging, pointer, max_memory) as (connection, places):
        _view_rows(connection, staging, folder)
        connection.execute(f"CREATE TYPE verdict AS ENUM {VERDICTS}")
        is_snapshot = question.source_is == "snapshot"
        parameters = {
            "generation": _micros(question.generation),
            "expires_before": _micros(question.expires_before),
            "trust_nothing": question.trust_nothing,
            "expires_removed": question.expires_removed,
            "is_snapshot": is_snapshot,
        }
        connection.execute(_DIFF.format(join="FULL" if is_snapshot else "RIGHT"), parameters)
        yield Diff(connection, staging, folder, rows, places)


def still_removed(
    staging: Staging, pointer: Pointer, folder: str, rows: int, generation: datetime, max_memory: str
) -> Mask:
    """Which of these rows the ledger still has as removed, not later than a generation."""
    with _ledger(staging, pointer, max_memory) as (connection, _):
        _view_rows(connection, staging, folder)
        query = f"""SELECT _row FROM ({_CURRENT}) JOIN loaded ON key = _key
            WHERE state = 'removed' AND generation <= $generation"""  # noqa: S608
        return _masked(connection.sql(query, params={"generation": _micros(generation)}), rows)


def current(staging: Staging, pointer: Pointer, max_memory: str) -> Mask:
    """The places of the rows that count, without tombstones that the newest snapshot makes needless."""
    with _ledger(staging, pointer, max_memory) as (connection, places):
        fence = _micros(pointer.snapshot.generation if pointer.snapshot else NEVER)
        query = f"SELECT place FROM ({_CURRENT}) WHERE NOT (state = 'tombstone' AND generation < $fence)"  # noqa: S608
        return _masked(connection.sql(query, params={"fence": fence}), places)


def _masked(found: "DuckDBPyRelation", size: int) -> Mask:
    mask = parquet.empty_mask(size)
    for batch in found.to_arrow_reader(1 << 16):
        mask[batch.column(0).to_numpy()] = True
    return mask


@contextmanager
def _ledger(staging: Staging, pointer: Pointer, max_memory: str) -> Iterator[tuple["DuckDBPyConnection", int]]:
    """A database in which _CURRENT can be asked for once, and how many places there are."""
    base, above = layers.of_layers(pointer.layers[: pointer.base]), layers.of_all(staging, pointer)[pointer.base :]
    first = layers.count(staging, base)
    with tempfile.TemporaryDirectory(prefix="optimove-diff-") as folder, _connect(folder, max_memory) as connection:
        _view_stored(connection, staging, "stored_base", base, 0)
        _view_stored(connection, staging, "stored_above", above, first)
        connection.execute(_ABOVE)
        yield connection, first + layers.count(staging, above)


def _view_stored(
    connection: "DuckDBPyConnection", staging: Staging, name: str, sources: Sequence[layers.Source], first: int
) -> None:
    """Make a view of rows of the ledger, without their records; their places begin at `first`.

    From a local disk DuckDB reads them itself, on all cores; of very many files it could make no view.
    """
    is_plain = staging.is_local and 0 < len(sources) <= _MANY and not any(source.remade for source in sources)
    if not is_plain:
        connection.register(name, _reader(staging, sources, first))
        return
    found = []
    for source in sources:
        columns = ", ".join(f"{_in_sql(source, column)} AS {column}" for column in _COMPARED)
        file = connection.read_parquet(staging.path(source.path), file_row_number=True)
        found.append(file.project(f"{columns}, file_row_number + {first} AS place"))
        first += layers.count(staging, [source])
    reduce(lambda some, more: some.union(more), found).create_view(name)


def _in_sql(source: layers.Source, name: str) -> str:
    """A column of the ledger, of the type that `_COMPARED_SCHEMA` says."""
    if columns := source.stored([name]):
        return f"epoch_us({columns[0]})" if name in ("generation", "expires") else columns[0]
    value = source.constants and source.constants[name]
    literal = "NULL" if value is None else _micros(value) if isinstance(value, datetime) else f"'{value}'"
    return f"CAST({literal} AS {_SQL_TYPES[_COMPARED_SCHEMA.field(name).type]})"


def _view_rows(connection: "DuckDBPyConnection", staging: Staging, folder: str) -> None:
    """Make the rows of a load the view `loaded`, without their records."""
    every, fit = parquet.parts(staging, folder), parquet.sent_parts(staging, folder)
    _view(connection, staging, "fit", fit)
    _view(connection, staging, "unfit", [path for path in every if path not in fit])
    connection.execute(_LOADED_VIEW)


_SEEN = ("_row", "_key", "_made")
_LOADED_VIEW = """CREATE VIEW loaded AS SELECT _row, _key, _made, false AS refused FROM fit
    UNION ALL SELECT _row, _key, _made, true FROM unfit"""


def _view(connection: "DuckDBPyConnection", staging: Staging, name: str, paths: Sequence[str]) -> None:
    """Make a view of files of rows. From a local disk DuckDB reads them itself, on all cores."""
    if paths and staging.is_local:
        connection.read_parquet([staging.path(path) for path in paths]).create_view(name)
    else:
        batches = (batch for path in paths for batch in parquet.read(staging, path, _SEEN))
        schema = pa.schema([ROWS.field(column) for column in _SEEN])
        connection.register(name, pa.RecordBatchReader.from_batches(schema, batches))


def _reader(staging: Staging, sources: Sequence[layers.Source], first: int) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(_COMPARED_SCHEMA, _compared(staging, sources, first))


def _compared(staging: Staging, sources: Sequence[layers.Source], first: int) -> Iterator[pa.RecordBatch]:
    for batch in layers.read(staging, sources, _COMPARED, first=first):
        yield batch.cast(_COMPARED_SCHEMA)


def _connect(folder: str, max_memory: str) -> "DuckDBPyConnection":
    import duckdb  # slow to load, and only needed here

    config: dict[str, Any] = {
        "memory_limit": max_memory,
        "temp_directory": f"{folder}/beyond-memory",
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
    }
    return duckdb.connect(":memory:", config=config)


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
