"""Which rows of a load are left out, as their keys are on the target's suppression list."""

from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.suppression.suppression_list import list_of
from optimove_provider.records.arrow.types import Mask


def has_suppressed(manifest: Manifest) -> bool:
    """Whether any key is on the list."""
    return manifest.suppressed is not None and bool(manifest.suppressed.path)


def suppressed_rows(staging: Staging, manifest: Manifest, folder: str, last: int) -> Mask | None:
    """Of a load's rows that can be sent, numbered up to `last`, those that are left out; None where there is no list.

    Digests of the load's keys are made only where there is one, a batch at a time.
    """
    known, wanted = list_of(staging, manifest), row_files.empty_mask(last)
    if known is None:
        return None
    for path in row_files.sendable_paths(staging, folder):
        for batch in row_files.read(staging, path, ["_row", "_key"]):
            wanted[batch["_row"].to_numpy()] = known.among(batch["_key"].to_pylist())
    return wanted
