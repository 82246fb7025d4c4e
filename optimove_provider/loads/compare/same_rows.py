"""Rows that need nothing, found by digests before any key is joined: most rows of most loads.

What is not found here is joined, so nothing depends on finding all; and whatever is found is what the join would say.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimove_provider.loads.compare.digests import DealtRows, same
from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.spool import row_digests, row_files
from optimove_provider.loads.spool.row_digests import MOST, DigestsFile, DigestsWriter
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.types import Mask

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FROM_ROWS = row_digests.FROM_ROWS
"""Where the load or the ledger has fewer rows, their keys are joined as soon."""
MOST_LEFT = 4
"""Of a snapshot, rows are left out of the join only where no more than one in so many is left: all these are found by
their numbers."""
_BATCH = 1 << 16
NO_PARAMETERS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class SameRows:
    """Rows of a load that the ledger has as they are: which ones, by number, and where in the ledger, by position."""

    rows: Mask
    positions: Mask
    count: int

    def leaves_few(self, of_both: bool) -> bool:
        """Whether few rows are left: of the load, or `of_both` sides."""
        rows, left = len(self.rows), len(self.rows) - self.count
        if of_both:
            rows, left = rows + len(self.positions), left + len(self.positions) - self.count
        return left * MOST_LEFT <= rows


def may_have_same(manifest: Manifest, rows: int, positions: int) -> bool:
    """Whether to look for them: numbers of the load's rows end with `rows`, those of the ledger's with `positions`."""
    made = [source.remade for source in layers.of_layers(manifest.layers)]
    return min(rows, positions) >= FROM_ROWS and max(rows, positions) < MOST and not any(made)


class DigestsAtHand:
    """Digests of the rows of one comparison: those that lie beside files, and those that are made in a folder now."""

    def __init__(self, connection: "DuckDBPyConnection", staging: Staging, manifest: Manifest, folder: Path) -> None:
        self._connection, self._staging, self._folder = connection, staging, folder
        self._bottom = manifest.bottom
        # So that nobody can prepare a key and a record whose digest is another row's.
        self._seed = manifest.key_digest.seed or secrets.token_hex(16)

    def of_bottom(self) -> list[DigestsFile] | None:
        """Of all rows of the bottom layers; None where they have to be made."""
        begins = accumulate((layer.rows for layer in self._bottom), initial=0)
        return self._kept((layer.path, begin) for layer, begin in zip(self._bottom, begins, strict=False))

    def of_load(self, folder: str) -> list[DigestsFile] | None:
        """Of all rows of a load that can be sent; None where they have to be made."""
        return self._kept((path, None) for path in row_files.sendable_paths(self._staging, folder))

    def _kept(self, files: Iterable[tuple[str, int | None]]) -> list[DigestsFile] | None:
        return row_digests.kept(self._staging, files, self._seed, self._folder) or None

    def made(self, name: str, query: str, parameters: Mapping[str, Any] = NO_PARAMETERS) -> DigestsFile:
        """Of the rows of a query with the columns key, fingerprint and number."""
        path = self._folder / name
        asked = f"SELECT key, fingerprint, number FROM ({query})"  # noqa: S608 - queries of ours
        with path.open("wb") as out:
            writer = DigestsWriter(out, self._seed)
            for batch in self._connection.sql(asked, params=dict(parameters)).to_arrow_reader(_BATCH):
                keys, fingerprints, numbers = batch.columns
                writer.add(keys, fingerprints, numbers.to_numpy(), numbers.to_numpy())
            writer.finish()
        return writer.written(path, begin=0)


def find_same(known: DealtRows, loaded: DealtRows, rows: int, positions: int) -> SameRows:
    """Find them among rows of the ledger, known by their positions, and of a load, by their numbers. No key may be
    there twice on either side."""
    of_rows, of_positions, count = row_files.empty_mask(rows), row_files.empty_mask(positions), 0
    for of_ledger, of_load in same(known, loaded):
        of_rows[of_load], of_positions[of_ledger] = True, True
        count += len(of_load)
    return SameRows(of_rows, of_positions, count)
