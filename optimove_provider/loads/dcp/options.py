"""One import into a table: what is to be done, and all that it needs for that."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from optimove_provider.loads.dcp.in_doubt import InDoubtFiles, OutcomeOf
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.publication import Publication, RememberRows
from optimove_provider.loads.validation.csv_file import CsvFile
from optimove_provider.loads.validation.row_check import ImportOptions, RowCheck
from optimove_provider.loads.validation.row_sinks import OnRefused, no_more
from optimove_provider.options import Guards
from optimove_provider.records.observe.observer import ObserverFactory, no_observers

REVERIFY_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ChangedOptions:
    """How rows are compared with the ledger. `assume_settled`: files of earlier loads that nobody confirmed are taken
    for imported. `reverify_after`: rows that were accepted that long ago, and that nobody counted, are sent again; None
    for never."""

    source_is: Literal["snapshot", "delta"] = "snapshot"
    guards: Guards = field(default_factory=Guards)
    expected_plan: str | None = None
    assume_settled: bool = False
    reverify_after: timedelta | None = REVERIFY_AFTER


@dataclass(frozen=True, slots=True)
class TableImport:
    """One try of a load into a table.

    `to` is where its files go, `report` tells the story. `ledger` is the table's, None where staging can hold none.
    `outcome_of` tells what became of files, of this load or another; `remember` takes some rows of each file before
    it is visible. `generation` is the instant that the rows stand for, None the one at which the source is opened;
    `opened` when they were read for the first time, if they are sent again. `verify` is the share of the rows that
    will be read back one by one; 0 for a sample only. `changed` says how to compare, with that mode.
    `overwrite_newer`: a full import may overwrite what the ledger has newer.
    """

    source: CsvFile | OpenRows
    options: ImportOptions
    to: Destination
    report: Report
    ledger: Ledger | None
    outcome_of: OutcomeOf
    remember: RememberRows | None = None
    mode: str = "full"
    changed: ChangedOptions = field(default_factory=ChangedOptions)
    generation: datetime | None = None
    try_number: int = 1
    overwrite_newer: bool = False
    verify: float = 0
    opened: datetime | None = None

    @property
    def load_id(self) -> str:
        """The load that this is a try of."""
        return self.to.load_id

    @property
    def destination(self) -> Destination:
        """Where its files go; what is odd on the way is noted in the report."""
        return replace(self.to, note=self.report.note)

    @property
    def staging(self) -> Staging:
        """Where the load keeps its state."""
        return self.to.staging

    def journal(self) -> Journal:
        """The load's journal, read now."""
        return Journal(self.staging, self.load_id)

    def publication(self, journal: Journal) -> Publication:
        """The load's files. Once they are aborted, they are in doubt no more."""
        return Publication(self.destination, journal, self.report, self.remember, self._forget_files)

    @property
    def delimiter(self) -> str:
        """What is between the cells of the text that is checked."""
        return self.source.delimiter if isinstance(self.source, CsvFile) else ","

    def row_check(self, observers: ObserverFactory = no_observers, on_refused: OnRefused = no_more) -> RowCheck:
        """The check of the load's rows."""
        return RowCheck(self.source, self.options, self.staging, self.report, observers, on_refused)

    def _forget_files(self) -> None:
        if self.ledger:
            InDoubtFiles(self.ledger).forget(self.load_id)


def table_ledger(staging: Staging, report: Report) -> Ledger | None:
    """The ledger of the table that a load is about; None where staging can hold none."""
    target = report.target
    return ledger_of(staging, "dcp", target["host"], str(target["dcp"]), target.get("target_alias", ""))
