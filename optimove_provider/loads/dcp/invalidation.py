"""What a full import owes the ledger of its table: it does not compare, so of its keys nothing is known afterwards."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import pyarrow as pa

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.dcp.columns import TableColumns
from optimove_provider.loads.dcp.csv_spool import key_rows
from optimove_provider.loads.dcp.in_doubt import InDoubtFiles
from optimove_provider.loads.dcp.options import TableImport
from optimove_provider.loads.dcp.profile_marks import ProfileMarks
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.keys import keys_in, newer_keys
from optimove_provider.loads.ledger.lease import InDoubtFor, Lease, acquired
from optimove_provider.loads.ledger.ledger import NO_LEDGER, Ledger
from optimove_provider.loads.plan.planner import is_below_watermark
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.visibility import Right
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.findings.findings import Finding
from optimove_provider.records.observe.observer import CellBuffer, ColumnObserver, ObserverFactory, no_observers


class OverwritesNewer(OptimoveProviderError):
    """A full import has rows of customers whom the ledger has newer."""


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

    @property
    def columns(self) -> Sequence[str]:
        """Those of the rows, once they were checked; none where nothing is ordered by age."""
        ...

    def of(self, age: Age | None) -> "Invalidation":
        """The same for rows of another age, if one is given."""
        ...

    def keys(self) -> AbstractContextManager[ObserverFactory]:
        """Observers that write down all keys that pass by in a check; those of refused rows too, which does no harm."""
        ...

    def write(self, s3_keys: Sequence[str]) -> None:
        """Before its files become visible: what the table holds of these keys is unknown, and they may come late.

        Raises OverwritesNewer if the ledger has any of them newer.
        """
        ...

    def check_stale(self, stale: int) -> None:
        """Raise OtherColumns if so many rows are to be left out, and what is newer lacks some of their columns."""
        ...

    @property
    def right(self) -> Right:
        """The right to make files visible."""
        ...


@dataclass(frozen=True, slots=True)
class NoInvalidation:
    """Where there is no ledger, nothing can become invalid, and nobody is kept from writing."""

    age: None = None
    is_below_watermark: bool = False
    columns: Sequence[str] = ()

    def of(self, age: Age | None) -> Self:
        """No age matters."""
        return self

    def keys(self) -> AbstractContextManager[ObserverFactory]:
        """Nobody observes."""
        return nullcontext(no_observers)

    def write(self, s3_keys: Sequence[str]) -> None:
        """There is nothing to write."""

    def check_stale(self, stale: int) -> None:
        """Nothing is stale."""

    @property
    def right(self) -> Right:
        """Everybody has it."""
        return Right()


@dataclass(frozen=True, slots=True)
class LedgerInvalidation:
    """The lease of a table, and its ledger."""

    ledger: Ledger
    lease: Lease
    age: Age
    overwrite_newer: bool = False

    def of(self, age: Age | None) -> Self:
        """The same for rows of another age, if one is given."""
        return replace(self, age=age) if age else self

    @property
    def is_below_watermark(self) -> bool:
        """Whether a newer snapshot is committed, so that nothing of this load may be sent, unless it may overwrite."""
        return not self.overwrite_newer and is_below_watermark(self.ledger.read(), self.age)

    @contextmanager
    def keys(self) -> Iterator[ObserverFactory]:
        """Observers that write down all keys that pass by in a check; those of refused rows too, which does no harm."""
        with keys_observed(self.ledger.staging, self._folder, lambda columns: self._remember(columns=columns)) as found:
            yield found

    def write(self, s3_keys: Sequence[str]) -> None:
        """Before its files become visible: what the table holds of these keys is unknown, and they may come late.

        Raises OverwritesNewer if the ledger has any of them newer, and of the same columns.
        """
        newer = self._newer_keys()
        overlaps = TableColumns(self.ledger).newer_overlap(self.columns, self.age)
        marked = ProfileMarks(self.ledger).newer(self.columns, self._keys_sent(), self.age)
        if (overwritten := (newer if overlaps else set()) | marked) and not self.overwrite_newer:
            raise self._overwrites(overwritten)
        TableColumns(self.ledger).write(self.columns, self.age)
        self._remember(marked=self.age.as_json())
        InDoubtFiles(self.ledger).record(self.lease.load_id, s3_keys)
        self._mark(newer, overlaps)

    def _mark(self, newer: set[str], overlaps: bool) -> None:
        """Make the keys unknown, as old as these rows. Newer ones stay as old as they are: other columns of them are
        newer still, and where only such columns are, what the ledger knows of them stays true."""
        if not newer:
            self.ledger.write_intent(self.lease, self.ledger.read().version, self.age, self._folder)
            self.ledger.resolve_as_unknown(self.lease)
            return
        older = (key for some in self._keys_sent() for key in some.to_pylist() if key not in newer)
        self.ledger.invalidate(self.lease, ((key, None) for key in older), self.age)
        if overlaps:
            newest = TableColumns(self.ledger).newest(self.age)
            self.ledger.invalidate(self.lease, ((key, None) for key in sorted(newer)), newest)

    def _newer_keys(self) -> set[str]:
        # What an earlier try of this load has marked is no newer than its rows.
        age = max(self.age, Age.from_json(self._remembered.get("marked", self.age.as_json())))
        if TableColumns(self.ledger).newest(age) == age:
            return set()
        return newer_keys(self.ledger.staging, self.ledger.read(), self._keys_sent(), age)

    def _keys_sent(self) -> Iterator[pa.Array]:
        return keys_in(self.ledger.staging, self._folder)

    def _overwrites(self, newer: set[str]) -> OverwritesNewer:
        examples = ", ".join(sorted(newer)[:3])
        return OverwritesNewer(
            f"the table has newer rows of {len(newer)} customers, such as {examples}, than these of "
            f"{self.age}: nothing of it is imported. A full import cannot leave rows out: load "
            'with mode="changed", which leaves the older ones out as stale, or set overwrite_newer=True'
        )

    def check_stale(self, stale: int) -> None:
        """Raise OtherColumns if so many rows are to be left out, and what is newer lacks some of their columns."""
        TableColumns(self.ledger).check_stale(self.columns, self.age, stale)

    @property
    def right(self) -> Right:
        """The right that the lease gives, as long as it is held."""
        return Right(self.lease.check, is_exclusive=True)

    @property
    def _remembered(self) -> dict[str, Any]:
        """What a try of the load has written down beside the keys."""
        return self.ledger.staging.read(self._told) or {}

    @property
    def columns(self) -> Sequence[str]:
        """Those of the rows, once they were checked."""
        return list(self._remembered.get("columns", ()))

    def _remember(self, **members: Any) -> None:
        self.ledger.staging.write(self._told, {**self._remembered, **members})

    @property
    def _told(self) -> str:
        return f"loads/{self.lease.load_id}/keys.json"

    @property
    def _folder(self) -> str:
        return f"loads/{self.lease.load_id}/keys"


@contextmanager
def keys_observed(
    staging: Staging, folder: str, on_columns: Callable[[list[str]], object]
) -> Iterator[ObserverFactory]:
    """Observers that write down all keys that pass by in a check, in a folder that is emptied before. `on_columns` is
    told the columns of the rows."""
    staging.remove_folder(folder)
    with RowFilesWriter(staging, folder) as writer:

        def observe_key(names: Sequence[str], attributes: Sequence[Attribute]) -> Sequence[ColumnObserver]:
            on_columns(list(names))
            return [_Keys(column, writer) for column, name in enumerate(names) if is_key_column(name)][:1]

        yield observe_key


@contextmanager
def invalidation_of(load: TableImport, in_doubt_for: InDoubtFor) -> Iterator[Invalidation]:
    """The right to write what a load brings, which outlasts it for as long as its files may still become visible.

    Raises TargetBusy while another load has it.
    """
    ledger = load.ledger
    if ledger is None:
        load.report.note(NO_LEDGER)
        yield NoInvalidation()
        return
    now = ledger.now
    age = Age.of(min(load.opened or now, now), load.generation)
    with acquired(ledger.manifest_file, load.load_id, load.try_number, load.report.task, in_doubt_for) as lease:
        yield LedgerInvalidation(ledger, lease, age, load.overwrite_newer)
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
        self._writer.add(key_rows(locations.rows, cells))

    def counts(self) -> Iterable[tuple[str, int]]:
        return ()

    def findings(self) -> Iterator[Finding]:
        return iter(())

    def cost(self) -> str:
        return ""

    def close(self) -> None:
        self._write()
