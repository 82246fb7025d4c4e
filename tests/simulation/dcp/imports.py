"""What the processes of an import's try do, as the operator, its trigger and the sensor do it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.http.patience import POLLING
from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import readback
from optimove_provider.contract.dcp.config import IMPORT_BUCKET, Table
from optimove_provider.contract.dcp.upload_history import ImportState, Outcome, counted
from optimove_provider.contract.dcp.waiting import MAX_FAILED_POLLS, tolerable, wait
from optimove_provider.contract.wire.errors import ApiError, OptimoveProviderError, UnreadableAnswer
from optimove_provider.loads.dcp.in_doubt import StillImporting
from optimove_provider.loads.dcp.load import ImportFailed, confirm, filed_report, outcome, run
from optimove_provider.loads.dcp.options import ChangedOptions, TableImport, table_ledger
from optimove_provider.loads.evidence.upload_history import UploadHistory
from optimove_provider.loads.evidence.verification import Verification
from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.report.begun import tell_begun
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.validation.csv_file import CsvFile
from optimove_provider.loads.validation.row_check import ImportOptions
from tests.simulation.dcp.s3 import SteppedS3
from tests.simulation.dcp.tasks import TableTask
from tests.simulation.target import Deferred
from tests.support.optix_transactions import NO_GUARDS

if TYPE_CHECKING:
    from tests.simulation.airflow import Try
    from tests.simulation.dcp.table import DcpTable

WAIT, POKE = timedelta(minutes=40), timedelta(minutes=2)
LOOKED_AFTER = 3600.0
"""Seconds after which a person looks at the vendor's pages why a sensor still waits."""
FILE_BYTES = 90
"""A file ends before it is larger, so that loads have several."""


class Failed(OptimoveProviderError):
    """A try failed: of what its trigger has told, or of a sensor's wait."""

    def __init__(self, text: str, retry_helps: bool) -> None:
        super().__init__(text)
        self.retry_helps = retry_helps


@dataclass(frozen=True)
class Polling:
    """What a trigger is given: the files, the samples that show them, and until when it waits."""

    s3_keys: list[str]
    samples: list[dict[str, Any]] | None
    until: float


@dataclass(frozen=True)
class Event:
    """What a trigger tells."""

    outcome: dict[str, Any] | None = None
    error: str = ""
    retry_helps: bool = False


@dataclass(frozen=True)
class Sensing:
    """What a sensor is given: the account of the upload, and since when it waits."""

    report: Report
    since: float


class ImportTry:
    """A try of one import. It goes on in one process after the other, as `one.kept` tells."""

    def __init__(self, table: "DcpTable", one: "Try") -> None:
        assert isinstance(one.task, TableTask)
        self.table, self.one, self.task, self.world = table, one, one.task, table.world
        self.staging = self.world.staging(one.skew)

    def run(self) -> Report:
        """Its next process."""
        kept = self.one.kept
        if isinstance(kept, Polling):
            return self._poll(kept)
        if isinstance(kept, Event):
            return self._finish(kept)
        return self._sense(kept) if isinstance(kept, Sensing) else self._load()

    def _client(self, **how: Any) -> DcpClient:
        send = partial(self.table.vendor.send, sender=self.one)
        return DcpClient(self.table.settings, send, surroundings=self.staging.surroundings, **how)

    def _history(self, client: DcpClient) -> UploadHistory:
        return UploadHistory(client, self.table.table_id, self.staging, self._bucket)

    def _bucket(self, table: Table) -> Bucket:
        now = self.staging.surroundings.now
        secrets = (*self.table.settings.struck_out, table.aws_access_key, table.aws_secret_key)
        return Bucket(SteppedS3(self.table.vendor, self.one), IMPORT_BUCKET, secrets, now)

    # The operator

    def _load(self) -> Report:
        client = self._client()
        load = self._table_import(client, client.read_table(self.table.table_id))
        tell_begun(self.staging, load.report)
        try:
            run(load, WAIT, self.one.resumed)
        except StillImporting:
            self._look_at_pages()
            raise
        report = load.report
        if report.state != "uploaded":
            return report
        if self.task.kind.startswith("unwaited"):
            raise Deferred(POKE.total_seconds(), Sensing(report, self.world.scheduler.clock))
        defer = partial(self._defer, client, report) if self.task.defers else None
        found = outcome(load, WAIT, POKE, defer)
        confirm(self.staging, report, found, self.one.try_number, self._verification())
        return report

    def _table_import(self, client: DcpClient, table: Table) -> TableImport:
        attributes, history, task = client.list_attributes(table.id), self._history(client), self.task
        report = Report(
            self.one.load_id,
            client.settings.target("dcp", table.id),
            task=f"task crm.{task.name} of run run",
            mode="changed" if task.compares else "full",
        )
        options = ImportOptions(
            attributes,
            on_invalid="split",
            max_rejected=None,
            max_file_bytes=FILE_BYTES,
            dry_run=not task.sends,
        )
        source_is = "snapshot" if task.is_snapshot else "delta"
        return TableImport(
            source=self._csv_file() if task.is_file else self._opened,
            options=options,
            to=Destination(self._bucket(table), table.s3_path, self.one.load_id, self.staging),
            report=report,
            ledger=table_ledger(self.staging, report),
            outcome_of=history.outcome,
            remember=history.remembering(table, attributes),
            mode=report.mode,
            changed=ChangedOptions(
                source_is,  # type: ignore[arg-type]
                NO_GUARDS,
                assume_settled=task.settles,
                reverify_after=task.reverify_after,
            ),
            generation=task.generation,
            try_number=self.one.try_number,
            verify=task.verify if not task.kind.startswith("unwaited") else 0,
        )

    def _csv_file(self) -> CsvFile:
        lines = [["customerId", *self.task.columns]]
        lines += [[key, *cells.values()] for key, cells in self.table.rows(self.task).items()]
        text = "".join(",".join(line) + "\n" for line in lines)

        def opened() -> Any:
            self.world.step("open the source")
            return nullcontext(io.BytesIO(text.encode()))

        return CsvFile("rows.csv", opened)

    @contextmanager
    def _opened(self) -> Iterator[Iterator[pa.RecordBatch]]:
        self.world.step("open the source")
        rows = [{"customerId": key, **cells} for key, cells in self.table.rows(self.task).items()]
        schema = pa.schema([(name, pa.string()) for name in ("customerId", *self.task.columns)])
        yield iter([pa.RecordBatch.from_pylist(rows[start : start + 3], schema) for start in range(0, len(rows), 3)])

    def _verification(self) -> Verification | None:
        if not self.task.verify:
            return None
        how = (self.table.table_id, self.staging, self.one.load_id, self.task.verify, POKE, WAIT)
        return Verification(self._client(), *how)

    def _look_at_pages(self) -> None:
        """A person looks at the vendor's pages: where no file is to be imported any more, the DAG says so."""
        if self.table.vendor.is_idle and not self.task.settles:
            self.world.coverage.has("person", "settles")
            self.task.settles = True

    # Its trigger

    def _defer(self, client: DcpClient, report: Report, left: timedelta) -> None:
        remembered = self._history(client).remembered(report.s3_keys)
        samples = None if remembered is None else [one.as_json() for one in remembered]
        until = self.world.scheduler.clock + left.total_seconds()
        raise Deferred(POKE.total_seconds(), Polling(list(report.s3_keys), samples, until))

    def _poll(self, polling: Polling) -> Report:
        """What the triggerer does: it reads no staging."""
        client, samples = self._client(retries=POLLING), polling.samples
        if samples is None:
            ask = partial(dcp.upload_outcome, self.table.table_id, polling.s3_keys, set[str]())
        else:
            ask = partial(readback.read_back, [readback.Sample.from_json(one) for one in samples])

        def is_enough(found: Outcome) -> bool:
            begun = bool(self.task.verify) and readback.has_begun(found)
            return begun or self.world.scheduler.clock >= polling.until

        try:
            found = client.run(wait(ask, POKE.total_seconds(), MAX_FAILED_POLLS, is_enough))
        except OptimoveProviderError as error:
            if samples is None or error.retry_helps or not isinstance(error, ApiError | UnreadableAnswer):
                raise Deferred(1.0, Event(error=str(error), retry_helps=error.retry_helps)) from None
            found = readback.unreadable(polling.s3_keys, error)
        if found.state is ImportState.WAIT and self.world.scheduler.clock >= polling.until:
            raise Failed("the deferral timed out", retry_helps=True)
        raise Deferred(1.0, Event(found.as_json()))

    def _finish(self, event: Event) -> Report:
        report = filed_report(self.staging, self.one.load_id)
        if event.outcome is None:
            raise Failed(event.error, event.retry_helps)
        try:
            confirm(self.staging, report, Outcome.from_json(event.outcome), self.one.try_number, self._verification())
        except TargetBusy as busy:
            raise Failed(str(busy), retry_helps=True) from None
        return report

    # The sensor after it

    def _sense(self, sensing: Sensing) -> Report:
        """One poke of a sensor that is rescheduled."""
        again = Deferred(POKE.total_seconds(), sensing)
        try:
            found = self._history(self._client(retries=POLLING)).outcome(sensing.report.s3_keys)
        except OptimoveProviderError as error:
            if not tolerable(error, 1, MAX_FAILED_POLLS):
                raise
            raise again from None
        found = counted(found, sensing.report.accepted)
        if found.state is ImportState.FAILED:
            raise ImportFailed(found.sentence)
        if readback.is_unreadable(found):
            raise Failed(found.sentence, retry_helps=False)
        if found.state is ImportState.DONE:
            return sensing.report
        if self.table.vendor.is_idle and self.world.scheduler.clock - sensing.since > LOOKED_AFTER:
            raise Failed("the vendor's pages say that the file was not imported", retry_helps=False)
        raise again
