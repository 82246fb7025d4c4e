"""What a full import owes the ledger of its table: it does not compare, so of its keys nothing is known afterwards."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.loads.dcp.in_doubt import InDoubtFiles
from optimove_provider.loads.dcp.options import TableImport
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.spool.row_files import rows_batch
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.state.age import Age
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings.findings import Finding
from optimove_provider.records.observe.observer import CellBuffer, ColumnObserver, ObserverFactory, no_observers
from optimove_provider.records.to_json.columns import key_texts

_AS_TEXT = pc.CastOptions(pa.string(), allow_invalid_utf8=True)  # such keys are unfit, and their rows refused
_key_texts = key_texts(pa.string(), "string")


class Invalidation(Protocol):
    """The right to write rows into a table of one `age`, and what it costs."""

    @property
    def age(self) -> Age | None:
        """None where nothing is ordered by it."""
        ...

    @property
    def is_below_watermark(self) -> bool:
        """Whether a newer snapshot is committed, so that nothing of this load may be sent."""
        ...

    def of(self, age: Age | None) -> "Invalidation":
        """The same for rows of another age, if one is given."""
        ...

    def keys(self) -> AbstractContextManager[ObserverFactory]:
        """Observers that write down all keys that pass by in a check; those of refused rows too, which does no harm."""
        ...

    def write(self, s3_keys: Sequence[str]) -> None:
        """Before its files become visible: what the table holds of these keys is unknown, and they may come late."""
        ...

    def check(self) -> None:
        """Raise LeaseLost where the right to write may be somebody else's by now."""
        ...


@dataclass(frozen=True, slots=True)
class NoInvalidation:
    """Where there is no ledger, nothing can become invalid, and nobody is kept from writing."""

    age: None = None
    is_below_watermark: bool = False

    def of(self, age: Age | None) -> Self:
        """No age matters."""
        return self

    def keys(self) -> AbstractContextManager[ObserverFactory]:
        """Nobody observes."""
        return nullcontext(no_observers)

    def write(self, s3_keys: Sequence[str]) -> None:
        """There is nothing to write."""

    def check(self) -> None:
        """There is nothing to lose."""


@dataclass(frozen=True, slots=True)
class LedgerInvalidation:
    """The lease of a table, and its ledger."""

    ledger: Ledger
    lease: Lease
    age: Age

    def of(self, age: Age | None) -> Self:
        """The same for rows of another age, if one is given."""
        return replace(self, age=age) if age else self

    @property
    def is_below_watermark(self) -> bool:
        """Whether a newer snapshot is committed, so that nothing of this load may be sent."""
        return is_below_watermark(self.ledger.read(), self.age)

    @contextmanager
    def keys(self) -> Iterator[ObserverFactory]:
        """Observers that write down all keys that pass by in a check; those of refused rows too, which does no harm."""
        self.ledger.staging.remove_folder(self._folder)
        with RowFilesWriter(self.ledger.staging, self._folder) as writer:

            def observe_key(names: Sequence[str], attributes: Sequence[Attribute]) -> Sequence[ColumnObserver]:
                return [_Keys(column, writer) for column, name in enumerate(names) if is_key_column(name)][:1]

            yield observe_key

    def write(self, s3_keys: Sequence[str]) -> None:
        """Before its files become visible: what the table holds of these keys is unknown, and they may come late."""
        InDoubtFiles(self.ledger).record(self.lease.load_id, s3_keys)
        self.ledger.write_intent(self.lease, self.ledger.read().version, self.age, self._folder)
        self.ledger.resolve_as_unknown(self.lease)

    def check(self) -> None:
        """Raise LeaseLost where the lease may be somebody else's by now."""
        self.lease.check()

    @property
    def _folder(self) -> str:
        return f"loads/{self.lease.load_id}/keys"


@contextmanager
def invalidation_of(load: TableImport) -> Iterator[Invalidation]:
    """The right to write what a load brings. Raises TargetBusy while another load has it."""
    ledger = load.ledger
    if ledger is None:
        load.report.note(NO_LEDGER)
        yield NoInvalidation()
        return
    age = Age.of(load.staging.surroundings.now(), load.generation)
    with acquired(ledger.manifest_file, load.load_id, load.try_number, load.report.task) as lease:
        yield LedgerInvalidation(ledger, lease, age)
        compaction.maintain(ledger, lease)


class _Keys:
    """Sees the keys of a file, and writes them as a load's rows without records."""

    def __init__(self, column: int, writer: RowFilesWriter) -> None:
        self.column, self._writer = column, writer
        self._buffer = CellBuffer()

    def see(self, locations: Locations, cells: pa.BinaryArray) -> None:
        if self._buffer.add(locations, cells):
            self._write()

    def _write(self) -> None:
        locations, cells = self._buffer.take()
        found = _key_texts(cells.cast(options=_AS_TEXT))
        fit = np.ones(len(cells), bool)
        fit[list(found.unfit)] = False
        batch = rows_batch(locations.rows, found.whole(), pa.nulls(len(cells), pa.string()))
        self._writer.add(batch.filter(pa.array(fit)))

    def counts(self) -> Iterable[tuple[str, int]]:
        return ()

    def findings(self) -> Iterator[Finding]:
        return iter(())

    def cost(self) -> str:
        return ""

    def close(self) -> None:
        self._write()
