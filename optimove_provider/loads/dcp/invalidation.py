"""What a full import owes the ledger of its table: it does not compare, so of its keys nothing is known afterwards."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.loads.dcp.in_doubt import InDoubtFiles
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.spool.row_files import rows_batch
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings.findings import Finding
from optimove_provider.records.observe.observer import CellBuffer, ColumnObserver, ObserverFactory
from optimove_provider.records.to_json.columns import key_texts

_AS_TEXT = pc.CastOptions(pa.string(), allow_invalid_utf8=True)  # such keys are unfit, and their rows refused
_key_texts = key_texts(pa.string(), "string")


@dataclass(frozen=True, slots=True)
class LedgerInvalidation:
    """The right to write to a table: its lease, for rows that stand for one instant, the `generation`."""

    ledger: Ledger
    lease: Lease
    generation: datetime

    @property
    def is_below_watermark(self) -> bool:
        """Whether a newer snapshot is committed, so that nothing of this load may be sent."""
        return is_below_watermark(self.ledger.read(), self.generation)

    @contextmanager
    def keys(self) -> Iterator[ObserverFactory]:
        """Watchers that write down all keys that pass by in a check; those of refused rows too, which does no harm."""
        self.ledger.staging.remove_folder(self._folder)
        with RowFilesWriter(self.ledger.staging, self._folder) as parts:

            def watch_key(names: Sequence[str], attributes: Sequence[Attribute]) -> Sequence[ColumnObserver]:
                return [_Keys(column, parts) for column, name in enumerate(names) if is_key_column(name)][:1]

            yield watch_key

    def mark(self, s3_keys: Sequence[str]) -> None:
        """Before its files become visible: what the table holds of these keys is unknown, and they may come late."""
        InDoubtFiles(self.ledger).note(self.lease.load_id, s3_keys)
        self.ledger.write_intent(self.lease, self.ledger.read().version, self.generation, self._folder)
        self.ledger.resolve_as_unknown(self.lease)

    @property
    def _folder(self) -> str:
        return f"loads/{self.lease.load_id}/keys"


@contextmanager
def invalidation_of(
    ledger: Ledger, load_id: str, try_number: int, generation: datetime, task: str = ""
) -> Iterator[LedgerInvalidation]:
    """A load's turn. Raises TargetBusy while another load has it."""
    with acquired(ledger.manifest_file, load_id, try_number, task) as lease:
        yield LedgerInvalidation(ledger, lease, generation)
        compaction.maintain(ledger, lease)


class _Keys:
    """Sees the keys of a file, and writes them as a load's rows without records."""

    def __init__(self, column: int, parts: RowFilesWriter) -> None:
        self.column, self._parts = column, parts
        self._gathered = CellBuffer()

    def see(self, places: Locations, cells: pa.BinaryArray) -> None:
        if self._gathered.add(places, cells):
            self._write()

    def _write(self) -> None:
        places, cells = self._gathered.take()
        found = _key_texts(cells.cast(options=_AS_TEXT))
        fit = np.ones(len(cells), bool)
        fit[list(found.unfit)] = False
        batch = rows_batch(places.rows, found.whole(), pa.nulls(len(cells), pa.string()))
        self._parts.add(batch.filter(pa.array(fit)))

    def counts(self) -> Iterable[tuple[str, int]]:
        return ()

    def findings(self) -> Iterator[Finding]:
        return iter(())

    def cost(self) -> str:
        return ""

    def close(self) -> None:
        self._write()
