"""What a full import owes the ledger of its table: it does not compare, so of its keys nothing is known afterwards."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.datatypes import Attribute, is_key_column
from optimove_provider.loads.lease import Lease, held
from optimove_provider.loads.ledger import Ledger
from optimove_provider.loads.parquet import rows_batch
from optimove_provider.loads.plan import fence
from optimove_provider.loads.slices import PartsWriter
from optimove_provider.loads.unconfirmed import Unconfirmed
from optimove_provider.records.encolumns import key_texts
from optimove_provider.records.findings import Finding
from optimove_provider.records.watching import Gathered, Places, Watch, Watchers

_AS_TEXT = pc.CastOptions(pa.string(), allow_invalid_utf8=True)  # such keys are unfit, and their rows refused
_key_texts = key_texts(pa.string(), "string")


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to write to a table: its lease, for rows that stand for one instant, the `generation`."""

    ledger: Ledger
    lease: Lease
    generation: datetime

    @property
    def is_fenced(self) -> bool:
        """Whether a newer snapshot is committed, so that nothing of this load may be sent."""
        return fence(self.ledger.read(), self.generation)

    @contextmanager
    def keys(self) -> Iterator[Watchers]:
        """Watchers that write down all keys that pass by in a check; those of refused rows too, which does no harm."""
        self.ledger.staging.remove_folder(self._folder)
        with PartsWriter(self.ledger.staging, self._folder) as parts:

            def watch_key(names: Sequence[str], attributes: Sequence[Attribute]) -> Sequence[Watch]:
                return [_Keys(column, parts) for column, name in enumerate(names) if is_key_column(name)][:1]

            yield watch_key

    def mark(self, s3_keys: Sequence[str]) -> None:
        """Before its files become visible: what the table holds of these keys is unknown, and they may come late."""
        Unconfirmed(self.ledger).note(self.lease.load_id, s3_keys)
        self.ledger.mark_pending(self.lease, self.ledger.read().version, self.generation, self._folder)
        self.ledger.settle_pending(self.lease)

    @property
    def _folder(self) -> str:
        return f"loads/{self.lease.load_id}/keys"


@contextmanager
def turn_of(ledger: Ledger, load_id: str, try_number: int, generation: datetime, task: str = "") -> Iterator[Turn]:
    """A load's turn. Raises TargetBusy while another load has it."""
    with held(ledger.pointer_file, load_id, try_number, task) as lease:
        yield Turn(ledger, lease, generation)
        ledger.tidy(lease)


class _Keys:
    """Sees the keys of a file, and writes them as a load's rows without records."""

    def __init__(self, column: int, parts: PartsWriter) -> None:
        self.column, self._parts = column, parts
        self._gathered = Gathered()

    def see(self, places: Places, cells: pa.BinaryArray) -> None:
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
