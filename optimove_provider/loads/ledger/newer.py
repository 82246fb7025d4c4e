"""Which keys of a load the ledger holds newer: what fences off single keys where no plan is made."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.ledger.query import CURRENT, MAX_MEMORY, NEWER, age_parameters, open_ledger
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging

_KEYS = pa.schema([("key", pa.string())])


def newer_keys(staging: Staging, manifest: Manifest, keys: Iterable[pa.Array], age: Age) -> set[str]:
    """Of these keys, JSON texts, those that the ledger holds of a later age."""
    found: set[str] = set()
    with open_ledger(staging, manifest, MAX_MEMORY) as (connection, _):
        batches = (pa.record_batch([some], schema=_KEYS) for some in keys)
        connection.register("asked", pa.RecordBatchReader.from_batches(_KEYS, batches))
        query = f"SELECT key FROM ({CURRENT}) SEMI JOIN asked USING (key) WHERE {NEWER}"  # noqa: S608
        for batch in connection.sql(query, params=age_parameters(age)).to_arrow_reader(1 << 16):
            found.update(batch["key"].to_pylist())
    return found


def keys_in(staging: Staging, folder: str) -> Iterator[pa.Array]:
    """The keys of a load's frozen rows."""
    for batch in row_files.read_rows(staging, folder, ["_key"]):
        yield batch["_key"]
