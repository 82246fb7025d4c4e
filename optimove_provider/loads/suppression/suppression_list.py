"""The suppression list of a target: an immutable Parquet file, named by the manifest and replaced by compare-and-swap.

Whoever changes it has the target's lease, and makes another version of the ledger: so a plan that was made before does
not hold any more. The digests are sorted, and looked up a batch at a time, so memory stays at 32 bytes a listed key.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.loads.ledger.lease import Lease
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Manifest, SuppressionList
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.lost_rows import opened
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression.key_digests import DIGEST_BYTES, KeyDigests, new_salt
from optimove_provider.records.arrow.types import Mask

SCHEMA = pa.schema([("digest", pa.binary(DIGEST_BYTES)), ("since", pa.timestamp("us", "UTC")), ("by", pa.string())])
"""A listed key: its digest, since when it is on the list, and what put it there: a load's id, or a command."""
_FIXED = f"S{DIGEST_BYTES}"  # NumPy pads with zeros: what ends in such is itself all the same


def salt_of(ledger: Ledger, lease: Lease) -> str:
    """The salt of the target's digests; made, and kept in its manifest, where there is none yet. Raises LeaseLost."""
    known = ledger.read().suppressed
    if known:
        return known.salt
    made = SuppressionList(new_salt())
    written = lease.change(lambda manifest: replace(manifest, suppressed=manifest.suppressed or made))
    return (written.suppressed or made).salt


def listed(staging: Staging, manifest: Manifest) -> pa.Table:
    """The list, in the order of the digests."""
    known = manifest.suppressed
    if known is None or not known.path:
        return SCHEMA.empty_table()
    with opened(staging, known.path) as file:
        row_files.check_format(file.metadata, known.path)
        return file.read().cast(SCHEMA)


class Listed:
    """The digests of a list, in memory, for whoever asks for many keys."""

    def __init__(self, table: pa.Table, salt: str) -> None:
        self._digests, self._made = _as_array(table["digest"].to_pylist()), KeyDigests(salt)

    def among(self, keys: Iterable[str]) -> Mask:
        """Which of these keys, JSON texts, are on the list."""
        asked = _as_array(self._made.of_all(keys))
        at = np.searchsorted(self._digests, asked)
        found: Mask = self._digests[np.minimum(at, len(self._digests) - 1)] == asked
        return found


def list_of(staging: Staging, manifest: Manifest) -> Listed | None:
    """The digests of a target's list; None where no key is on it."""
    known = manifest.suppressed
    return Listed(listed(staging, manifest), known.salt) if known and known.path else None


def _as_array(digests: list[bytes]) -> npt.NDArray[np.bytes_]:
    return np.frombuffer(b"".join(digests), _FIXED)


def add(ledger: Ledger, lease: Lease, texts: Iterable[str], by: str) -> int:
    """Put keys, by their texts, on the list; returns how many were not on it, each since now. Raises LeaseLost."""
    made = KeyDigests(salt_of(ledger, lease))
    wanted = {made.of(text) for text in texts}

    def added(table: pa.Table) -> pa.Table:
        new = sorted(wanted - set(table["digest"].to_pylist()))
        now = ledger.staging.surroundings.now()
        rows = pa.table([pa.array(new, SCHEMA.field(0).type), _all(now, len(new), 1), _all(by, len(new), 2)], SCHEMA)
        return pa.concat_tables([table, rows]).sort_by("digest")

    return _change(ledger, lease, added)


def remove(ledger: Ledger, lease: Lease, texts: Iterable[str]) -> int:
    """Take keys, by their texts, off the list; returns how many were on it. Raises LeaseLost."""
    known = ledger.read().suppressed
    if known is None:
        return 0
    made = KeyDigests(known.salt)
    gone = {made.of(text) for text in texts}
    return -_change(
        ledger, lease, lambda table: table.filter(pa.array(one not in gone for one in table["digest"].to_pylist()))
    )


def _all(value: object, size: int, column: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, SCHEMA.field(column).type), size)


def _change(ledger: Ledger, lease: Lease, edit: Callable[[pa.Table], pa.Table]) -> int:
    """Replace the list; returns by how many keys it has grown. Where that is none, nothing is written."""
    staging, before = ledger.staging, ledger.read()
    table = listed(staging, before)
    edited = edit(table)
    if edited.num_rows == table.num_rows:
        return 0
    path = f"{ledger.suppressions}/{staging.surroundings.new_id()}.parquet" if edited.num_rows else ""
    if path:
        row_files.write(staging, path, edited.to_batches(), SCHEMA)
    lease.change(lambda manifest: manifest.changed(suppressed=_named(manifest, path, edited.num_rows)))
    if before.suppressed and before.suppressed.path:
        staging.remove_folder(before.suppressed.path)  # who still reads it, as a dry run may, looks again
    return int(edited.num_rows - table.num_rows)


def _named(manifest: Manifest, path: str, keys: int) -> SuppressionList:
    assert manifest.suppressed  # noqa: S101 - it has had its salt before it has a key
    return replace(manifest.suppressed, path=path, keys=keys)
