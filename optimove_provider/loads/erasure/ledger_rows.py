"""A key taken out of a ledger: layers, and owed rows, are written again without it, and the old files go at once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optimove_provider.loads.erasure.forgotten_key import ForgottenKey
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Layer, Manifest
from optimove_provider.loads.owed.by_hand import Wanted, drop_owed, owed_rows
from optimove_provider.loads.spool import row_digests, row_files
from optimove_provider.loads.spool.lost_rows import opened
from optimove_provider.loads.state.staging import Staging

_NOW = timedelta(days=1)
"""Nothing that the manifest does not name is young enough to stay."""


def holds(staging: Staging, path: str, key: ForgottenKey) -> bool:
    """Whether a file of rows, of a ledger or of a load, has the key."""
    column = _key_column(staging, path)
    with opened(staging, path) as file:
        batches = file.iter_batches(row_files.ROW_GROUP, columns=[column], use_threads=False)
        return any(pc.any(_is_key(batch[column], key)).as_py() for batch in batches)


def pending_with(ledger: Ledger, key: ForgottenKey) -> list[str]:
    """The ids of loads whose intent names rows of the key: they may be at the target, and be sent again."""
    staging, intents = ledger.staging, ledger.read().intents
    found = {
        load_id
        for load_id, intent in intents.items()
        for folder in filter(None, (intent.folder, intent.owed))
        if any(holds(staging, path, key) for path in row_files.paths(staging, folder))
    }
    return sorted(found)


def layers_with(ledger: Ledger, key: ForgottenKey) -> list[Layer]:
    """The layers that have the key."""
    return [layer for layer in ledger.read().layers if holds(ledger.staging, layer.path, key)]


def forget_rows(ledger: Ledger, lease: Lease, key: ForgottenKey) -> list[str]:
    """Write the layers that have the key again without it; returns the names of the old files. Raises LeaseLost."""
    old = layers_with(ledger, key)
    if not old:
        return []
    new = {layer.path: _rewritten(ledger, layer, key) for layer in old}
    had_digests = [layer for layer in old if row_digests.is_kept(ledger.staging, layer.path)]
    row_digests.keep(ledger.staging, (new[layer.path].path for layer in had_digests), ledger.read().key_digest.seed)

    def edit(manifest: Manifest) -> Manifest:
        layers = (new.get(layer.path, layer) for layer in manifest.layers)
        return manifest.changed(layers=tuple(layer for layer in layers if layer.rows))

    lease.change(edit)
    return [layer.path.rpartition("/")[2] for layer in old]


def owed_with(ledger: Ledger, key: ForgottenKey) -> int:
    """How many rows of the key are owed to the target."""
    return sum(1 for _ in owed_rows(ledger.staging, ledger.read(), _owed(key)))


def forget_owed(ledger: Ledger, lease: Lease, key: ForgottenKey) -> int:
    """Drop the rows of the key that are owed; returns how many. Raises LeaseLost."""
    return drop_owed(ledger, lease, _owed(key)) if owed_with(ledger, key) else 0


def _owed(key: ForgottenKey) -> Wanted:
    return Wanted(tuple(key.stored))


def tidy(ledger: Ledger, lease: Lease) -> list[str]:
    """Remove every file of layers that the manifest does not name, however young it is; returns their names."""
    return compaction.vacuum(ledger, lease, ledger.staging.surroundings.now() + _NOW)


def _rewritten(ledger: Ledger, layer: Layer, key: ForgottenKey) -> Layer:
    staging, path = ledger.staging, f"{ledger.layers.folder}/{ledger.staging.surroundings.new_id()}.parquet"
    with opened(staging, layer.path) as file:
        schema = file.schema_arrow.remove_metadata()
        rows = row_files.write(staging, path, _others(file, _key_column(staging, layer.path), key), schema)
    return replace(layer, path=path, rows=rows)


def _others(file: pq.ParquetFile, column: str, key: ForgottenKey) -> Iterator[pa.RecordBatch]:
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(row_files.ROW_GROUP, row_groups=[group], use_threads=False):
            yield batch.filter(pc.invert(_is_key(batch[column], key)))


def _is_key(keys: pa.Array, key: ForgottenKey) -> pa.BooleanArray:
    return pc.is_in(keys, pa.array(key.stored, keys.type))


def _key_column(staging: Staging, path: str) -> str:
    return "_key" if "_key" in row_files.columns(staging, path) else "key"
