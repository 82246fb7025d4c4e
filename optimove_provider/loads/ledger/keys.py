"""Keys of a load, looked up in the ledger: which it has newer, and what it says of those that were rejected."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.ledger.query import (
    CURRENT,
    MAX_MEMORY,
    NEWER,
    OLDER,
    SURELY_THERE,
    age_parameters,
    masked,
    micros,
    open_ledger,
)
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import LEDGER, ROW_GROUP, Batches
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Mask

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_NUMBERED = pa.schema([("_row", pa.int64()), ("_key", pa.string())])
_KEYS = pa.schema([("_key", pa.string())])
_FOUND = f"""CREATE TABLE found AS SELECT _key, position, {OLDER} AS is_older
    FROM (SELECT DISTINCT _key FROM asked) LEFT JOIN ({CURRENT}) ON _key = key"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a load had and could not bring: batches with the keys as JSON text, `_key`, and how old its rows are."""

    keys: Batches
    age: Age


def keys_in(staging: Staging, folder: str) -> Iterator[pa.Array]:
    """The keys of a load's frozen rows, without those that were refused."""
    for path in row_files.sendable_paths(staging, folder):
        for batch in row_files.read(staging, path, ["_key"]):
            yield batch["_key"]


def newer_keys(staging: Staging, manifest: Manifest, keys: Iterable[pa.Array], age: Age) -> set[str]:
    """Of these keys, JSON texts, those that the ledger has of a later age: accepted, expired, rejected or unknown."""
    found: set[str] = set()
    asked = (pa.record_batch([some], schema=_KEYS) for some in keys)
    with _newer(staging, manifest, asked, _KEYS, age) as relation:
        for batch in relation.to_arrow_reader(1 << 16):
            found.update(batch["_key"].to_pylist())
    return found


def newer_rows(staging: Staging, manifest: Manifest, rows: Batches, last: int, age: Age) -> Mask:
    """The same of rows with `_row`, up to `last`, and `_key`: which of them, by their numbers."""
    with _newer(staging, manifest, rows, _NUMBERED, age) as relation:
        return masked(relation, last)


def known_count(staging: Staging, manifest: Manifest, keys: Batches, now: datetime) -> int:
    """How many of these rows, with their `_key`, have a key that is known to be there."""
    with open_ledger(staging, manifest, MAX_MEMORY) as (connection, _):
        connection.register("asked", _reader(keys, _KEYS))
        query = f"SELECT count(*) FROM ({CURRENT}) JOIN asked ON key = _key WHERE {SURELY_THERE}"  # noqa: S608
        return int(connection.execute(query, {"now": micros(now)}).fetchall()[0][0])


@contextmanager
def _newer(
    staging: Staging, manifest: Manifest, asked: Batches, schema: pa.Schema, age: Age
) -> Iterator["DuckDBPyRelation"]:
    with open_ledger(staging, manifest, MAX_MEMORY) as (connection, _):
        connection.register("asked", _reader(asked, schema))
        query = f"SELECT {', '.join(schema.names)} FROM ({CURRENT}) JOIN asked ON key = _key WHERE {NEWER}"  # noqa: S608
        yield connection.sql(query, params=age_parameters(age))


def of_rejected(staging: Staging, manifest: Manifest, rejected: Rejected) -> Iterator[pa.RecordBatch]:
    """What the ledger is to say of rejected keys, as its own rows, so that older loads leave these keys alone.

    What the target has of them stays, but is of the load's age now, like a record that the load found unchanged. A key
    that it does not have gets a tombstone. What is of that age or a later one needs nothing.
    """
    with open_ledger(staging, manifest, MAX_MEMORY) as (connection, positions):
        connection.register("asked", _reader(rejected.keys, _KEYS))
        connection.execute(_FOUND, age_parameters(rejected.age))
        older = masked(connection.sql("SELECT position FROM found WHERE is_older"), positions)
        for batch in layers.read(staging, layers.of_all(staging, manifest), LEDGER.names, older):
            yield _raised(batch.select(LEDGER.names), rejected.age)
        absent = connection.sql("SELECT _key FROM found WHERE position IS NULL")
        for batch in absent.to_arrow_reader(ROW_GROUP):
            yield layers.tombstones(batch["_key"], rejected.age)


def _reader(batches: Batches, schema: pa.Schema) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(schema, (batch.select(schema.names) for batch in batches))


def _raised(batch: pa.RecordBatch, age: Age) -> pa.RecordBatch:
    """Rows of the ledger as of a later age. What was gone from the source is there again."""
    state = pc.if_else(pc.equal(batch["state"], "removed"), "live", batch["state"])
    found = layers.with_values(batch, **asdict(age))
    return found.set_column(LEDGER.get_field_index("state"), LEDGER.field("state"), state)
