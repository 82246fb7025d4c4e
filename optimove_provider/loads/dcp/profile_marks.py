"""A second ledger beside a table's: how old the profiles are that were written of attributes that no import had.

The first one is about the columns of imports: marks of such profiles there would make rows of older imports stale that
have nothing to do with them.
"""

from collections.abc import Collection, Iterable

import pyarrow as pa

from optimove_provider.loads.dcp.columns import OtherColumns, TableColumns
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.keys import newer_keys
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.state.age import Age


def profiles_of(folder: str) -> str:
    """Where it is, beside the ledger in a folder."""
    return f"{folder}/profiles"


class ProfileMarks:
    """The customers who are marked in it; keys are JSON texts. Whoever asks or marks has the lease of the table."""

    def __init__(self, table: Ledger) -> None:
        self.ledger = Ledger(table.staging, profiles_of(table.manifest_file.folder.removeprefix("ledgers/")))
        self._columns, self._of_imports = TableColumns(self.ledger), TableColumns(table)

    def newer(self, names: Collection[str], keys: Iterable[pa.Array], age: Age) -> set[str]:
        """The customers among these who may have attributes of these names of a later age: of those that no import has,
        as the table's own ledger tells of the others."""
        beside = self._of_imports.beside(names)
        return self._newer(keys, age) if self._columns.newer_overlap(beside, age) else set()

    def check_stale(self, names: Collection[str], age: Age, stale: int, instead: str) -> None:
        """Raise OtherColumns if so many profiles are to be left out, and newer ones lack some of their attributes."""
        self._columns.check_stale(self._of_imports.beside(names), age, stale, instead)

    def check_import(self, columns: Collection[str], keys: Iterable[pa.Array], age: Age) -> None:
        """Raise OtherColumns for rows that would overwrite what was written as profiles later."""
        if newer := self.newer(columns, keys, age):
            raise OtherColumns(
                f"{len(newer)} customers, such as {', '.join(sorted(newer)[:3])}, have attributes that were written as "
                f"profiles before any import had them, and later than these rows, of {age}. Nothing was sent. Leave "
                'those columns out; or load with mode="full" and overwrite_newer=True if the older values are right'
            )

    def mark(self, table: Lease, names: Collection[str], keys: Collection[str], age: Age) -> None:
        """Mark customers, before attributes of these names are sent. Those of a later age keep it."""
        with acquired(self.ledger.manifest_file, table.load_id, 1) as lease:
            older = set(keys) - self._newer([pa.array(keys, pa.string())], age)
            self._columns.write(sorted(names), age)
            if older:
                self.ledger.invalidate(lease, ((key, None) for key in sorted(older)), age)
            compaction.maintain(self.ledger, lease)

    def _newer(self, keys: Iterable[pa.Array], age: Age) -> set[str]:
        manifest = self.ledger.read()
        return newer_keys(self.ledger.staging, manifest, keys, age) if manifest.layers else set()
