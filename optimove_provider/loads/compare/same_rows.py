"""Rows that need nothing, found by digests before any key is joined: most rows of most loads.

What is not found here is joined, so nothing depends on finding all; and whatever is found is what the join would say.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimove_provider.disk.temporary import TemporaryFolder
from optimove_provider.loads.compare.digests import MOST, DealtDigests, digests_of, same
from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.spool import row_files
from optimove_provider.records.arrow.types import Mask

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FROM_ROWS = 1_000_000
"""Where the load or the ledger has fewer rows, their keys are joined as soon."""
MOST_LEFT = 4
"""Of a snapshot, rows are left out of the join only where no more than one in so many is left: all these are found by
their numbers."""
_BATCH = 1 << 16


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


def find_same(
    connection: "DuckDBPyConnection",
    known: tuple[str, Mapping[str, Any]],
    loaded: str,
    rows: int,
    positions: int,
) -> SameRows:
    """Find them among the rows of two queries, `known` with its parameters, and `loaded`: each has columns fingerprint,
    key and number. No key may be in the answer to either of them twice."""
    of_rows, of_positions, count = row_files.empty_mask(rows), row_files.empty_mask(positions), 0
    with (
        TemporaryFolder() as folder,
        folder.telling(),
        DealtDigests(folder.path / "known") as old,
        DealtDigests(folder.path / "loaded") as new,
    ):
        chance = secrets.token_hex(8)  # so that nobody can prepare a key and a record whose digest is another row's
        _deal(connection, *known, chance, old)
        _deal(connection, loaded, {}, chance, new)
        for of_ledger, of_load in same(old, new):
            of_rows[of_load], of_positions[of_ledger] = True, True
            count += len(of_load)
    return SameRows(of_rows, of_positions, count)


def _deal(
    connection: "DuckDBPyConnection", query: str, parameters: Mapping[str, Any], chance: str, dealt: DealtDigests
) -> None:
    asked = f"""SELECT fingerprint, hash('{chance}' || key), number FROM ({query})
        WHERE octet_length(fingerprint) = {row_files.FINGERPRINT_BYTES}"""  # noqa: S608 - queries of ours
    for batch in connection.sql(asked, params=dict(parameters)).to_arrow_reader(_BATCH):
        if batch.num_rows:
            dealt.add(digests_of(*batch.columns))
    dealt.flush()
