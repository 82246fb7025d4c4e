"""The ledger of a target as a database: what is current, asked in SQL, out of core."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.duck import quoted, temporary_duck
from optimove_provider.records.arrow.types import Mask

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation


_EPOCH = datetime.fromtimestamp(0, UTC)
MAX_MEMORY = "300MB"
"""What DuckDB may take before it goes on in temporary files."""
_COMPARED = ("key", "fingerprint", "judged_by", "generation", "opened", "expires", "state", "unproven_since")
_COMPARED_SCHEMA = pa.schema(  # times as microseconds: DuckDB need not know of zones
    [
        ("key", pa.string()),
        ("fingerprint", pa.binary()),
        ("judged_by", pa.binary()),
        ("generation", pa.int64()),
        ("opened", pa.int64()),
        ("expires", pa.int64()),
        ("state", pa.string()),
        ("unproven_since", pa.int64()),
        ("position", pa.int64()),
    ]
)
_ASKED = pa.schema([("key", pa.string()), ("record", pa.string())])
_TIMES = ("generation", "opened", "expires", "unproven_since")
_SQL_TYPES = {pa.string(): "VARCHAR", pa.binary(): "BLOB", pa.int64(): "BIGINT"}
_ABOVE = """CREATE TABLE above AS SELECT * FROM stored_above
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY position DESC) = 1"""
"""Of the rows above the bottom layers, where a key may be twice, the last one of each key."""
CURRENT = """SELECT * FROM stored_bottom ANTI JOIN above USING (key) UNION ALL SELECT * FROM above"""
"""The row that counts of each key, with the columns of `_COMPARED` and its position."""
NEWER = "(generation > $generation OR generation = $generation AND opened > $opened)"
"""Whether a row that counts is of a later age than the one that `age_parameters` gives."""
OLDER = "(generation < $generation OR generation = $generation AND opened < $opened)"
"""Whether it is of an earlier one."""
THERE = "state <> 'tombstone' AND coalesce(expires > $now, true)"
"""Whether the target has, or may have, a key."""
SURELY_THERE = f"""({THERE} AND CASE WHEN fingerprint IS NOT NULL THEN true
    ELSE coalesce(unproven_since > $now, true) AND coalesce(judged_by, ''::BLOB) <> ''::BLOB END)"""
"""Whether it is known to have one: accepted; or written to since by what replaces a record that is there, and may leave
out one that is not."""
_NEVER = Age(datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))
_MANY = 100
"""Of more files, each a part of one view, the query would be too deep for DuckDB."""


def current(staging: Staging, manifest: Manifest, max_memory: str) -> Mask:
    """The positions of the rows that count, without tombstones that the newest snapshot makes needless."""
    with open_ledger(staging, manifest, max_memory) as (connection, positions):
        watermark = manifest.newest_snapshot.age if manifest.newest_snapshot else _NEVER
        query = f"SELECT position FROM ({CURRENT}) WHERE state <> 'tombstone' OR NOT {OLDER}"  # noqa: S608
        return masked(connection.sql(query, params=age_parameters(watermark)), positions)


def with_last_known(
    staging: Staging, manifest: Manifest, keys: Iterable[pa.RecordBatch], max_memory: str = MAX_MEMORY
) -> Iterator[pa.RecordBatch]:
    """Batches of `key` and `record`, in any order, `judged_by`: the fingerprint that was last known of each key, and
    `is_there`: whether the target surely has it."""
    with open_ledger(staging, manifest, max_memory) as (connection, _):
        connection.register("asked", pa.RecordBatchReader.from_batches(_ASKED, keys))
        query = f"""SELECT asked.key, record, coalesce(fingerprint, judged_by, ''::BLOB) AS judged_by,
            coalesce({SURELY_THERE}, false) AS is_there
            FROM asked LEFT JOIN (SELECT * FROM ({CURRENT}) WHERE state <> 'tombstone') found
            ON asked.key = found.key"""  # noqa: S608
        now = micros(staging.surroundings.now())
        yield from connection.sql(query, params={"now": now}).to_arrow_reader(row_files.ROW_GROUP)


def live_keys(staging: Staging, manifest: Manifest, now: datetime, max_memory: str = MAX_MEMORY) -> int:
    """How many keys the target has or may have, each counted once; what has expired is none of them."""
    with open_ledger(staging, manifest, max_memory) as (connection, _):
        query = f"SELECT count(*) FROM ({CURRENT}) WHERE {THERE}"  # noqa: S608
        return int(connection.execute(query, {"now": micros(now)}).fetchall()[0][0])


def masked(found: "DuckDBPyRelation", size: int) -> Mask:
    """The numbers in the first column of an answer, all of them up to `size`, as a mask."""
    mask = row_files.empty_mask(size)
    for batch in found.to_arrow_reader(1 << 16):
        mask[batch.column(0).to_numpy()] = True
    return mask


@contextmanager
def open_ledger(staging: Staging, manifest: Manifest, max_memory: str) -> Iterator[tuple["DuckDBPyConnection", int]]:
    """A database in which CURRENT can be asked for once, and how many positions there are."""
    bottom = layers.of_layers(manifest.bottom)
    above = [*layers.of_layers(manifest.above), *layers.of_intents(staging, manifest)]
    # Before DuckDB looks, which would say in its way what is missing.
    below_sizes, above_sizes = layers.counts(staging, bottom), layers.counts(staging, above)
    first = sum(below_sizes)
    with temporary_duck(max_memory) as connection:
        _view_stored(connection, staging, "stored_bottom", bottom, below_sizes, 0)
        _view_stored(connection, staging, "stored_above", above, above_sizes, first)
        connection.execute(_ABOVE)
        yield connection, first + sum(above_sizes)


def view_bottom(connection: "DuckDBPyConnection", staging: Staging, manifest: Manifest) -> None:
    """Make the view of the bottom layers anew where it is read only once, so that CURRENT can be asked for again."""
    sources = layers.of_layers(manifest.bottom)
    if not _reads_itself(staging, sources):
        connection.register("stored_bottom", _reader(staging, sources, 0))


def keep_of_bottom(connection: "DuckDBPyConnection", staging: Staging, manifest: Manifest, wanted: str) -> None:
    """Let the bottom layers have only the rows whose positions are in the table `wanted`, in its column `number`, where
    DuckDB reads them itself. Each file is asked for rows by their numbers in it: so the texts of the others are not
    looked at.
    """
    sources = layers.of_layers(manifest.bottom)
    if not _reads_itself(staging, sources):
        return
    begin, how = 0, "CREATE TABLE kept_bottom AS"
    for source, rows in zip(sources, layers.counts(staging, sources), strict=True):
        own = f"SELECT number - {begin} FROM {wanted} WHERE number >= {begin} AND number < {begin + rows}"  # noqa: S608
        connection.execute(f"{how} {_of_files(staging, [source], [begin])} WHERE file_row_number IN ({own})")
        begin, how = begin + rows, "INSERT INTO kept_bottom"
    connection.execute("CREATE OR REPLACE VIEW stored_bottom AS FROM kept_bottom")


def _view_stored(
    connection: "DuckDBPyConnection",
    staging: Staging,
    name: str,
    sources: Sequence[layers.Source],
    sizes: Sequence[int],
    first: int,
) -> None:
    """Make a view of rows of the ledger, without their records, in files of these sizes; their positions begin at
    `first`.
    """
    if not _reads_itself(staging, sources):
        connection.register(name, _reader(staging, sources, first))
        return
    begins = accumulate(sizes, initial=first)
    alike = groupby(zip(sources, begins, strict=False), lambda one: _kind(one[0]))
    found = (_of_files(staging, *zip(*some, strict=True)) for _, some in alike)
    connection.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(found)}")


def _reads_itself(staging: Staging, sources: Sequence[layers.Source]) -> bool:
    """Whether DuckDB reads files itself, on all cores, and as often as it is asked: from a local disk, and what one
    load brought in as one. Of very many others it could make no view."""
    kinds = sum(1 for _ in groupby(sources, _kind))
    return staging.is_local and 0 < kinds <= _MANY and not any(source.remade for source in sources)


def _kind(source: layers.Source) -> tuple[dict[str, Any], dict[str, str]]:
    return dict(source.constants), dict(source.names)


def _of_files(staging: Staging, sources: Sequence[layers.Source], begins: Sequence[int]) -> str:
    """A query of files that differ in nothing but their rows, whose positions begin there."""
    columns = ", ".join(f"{_in_sql(sources[0], column)} AS {column}" for column in _COMPARED)
    files = ", ".join(quoted(staging.path(source.path)) for source in sources)
    position = f"file_row_number + CAST({list(begins)} AS BIGINT[])[CAST(file_index AS BIGINT) + 1]"
    return f"SELECT {columns}, {position} AS position FROM read_parquet([{files}], file_row_number = true)"  # noqa: S608


def _in_sql(source: layers.Source, name: str) -> str:
    """A column of the ledger, of the type that `_COMPARED_SCHEMA` says."""
    if columns := source.stored([name]):
        return f"epoch_us({columns[0]})" if name in _TIMES else columns[0]
    value = source.constants[name]
    literal = "NULL" if value is None else micros(value) if isinstance(value, datetime) else f"'{value}'"
    return f"CAST({literal} AS {_SQL_TYPES[_COMPARED_SCHEMA.field(name).type]})"


def _reader(staging: Staging, sources: Sequence[layers.Source], first: int) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(_COMPARED_SCHEMA, _compared(staging, sources, first))


def _compared(staging: Staging, sources: Sequence[layers.Source], first: int) -> Iterator[pa.RecordBatch]:
    for batch in layers.read(staging, sources, _COMPARED, first=first):
        yield batch.cast(_COMPARED_SCHEMA)


def age_parameters(age: Age) -> dict[str, int]:
    """The parameters of NEWER."""
    return {name: micros(instant) for name, instant in asdict(age).items()}


def micros(instant: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
