"""The operator that imports rows into a table of Dynamic Customer Profiles, as files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import id_number
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.kinds import (
    ANY_REJECTED,
    FLAG,
    GRAIN,
    LIMIT,
    OPTIONAL_SPAN,
    READ_BACK,
    SPAN,
    is_template,
    one_of,
)
from optimove_provider.loads.plan.modes import MODES, check_modes, default_source
from optimove_provider.options import Guards
from optimove_provider.tasks.deferral import LoadingOperator, Waiting, as_timedelta, begun_report
from optimove_provider.tasks.failures import airflow_failures, as_airflow_failure
from optimove_provider.tasks.readback import upload_history
from optimove_provider.tasks.sources import Source, check_one_source, marker_if_there, open_file, open_rows
from optimove_provider.tasks.staging import sweep
from optimove_provider.tasks.templates import DataOperator
from optimove_provider.tasks.windows.window import WindowedOperator
from optimove_provider.triggers.dcp import FIRST_POLL_SECONDS, DcpUploadTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.clients.dcp import DcpClient
    from optimove_provider.contract.cells.datatypes import EpochUnit
    from optimove_provider.contract.cells.registered import Registered
    from optimove_provider.contract.dcp.config import Table
    from optimove_provider.contract.dcp.upload_history import Outcome
    from optimove_provider.loads.dcp.options import ChangedOptions, TableImport
    from optimove_provider.loads.evidence.verification import Verification
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.spool.freeze import OpenRows
    from optimove_provider.loads.state.staging import Staging
    from optimove_provider.loads.upload.destination import Destination
    from optimove_provider.loads.validation.csv_file import CsvFile
    from optimove_provider.loads.validation.row_check import ImportOptions

_SHARES = {"sample": 0.0, "all": 1.0}
_CSV = tuple(f".{kind}{packed}" for kind in ("csv", "tsv") for packed in ("", ".gz", ".zst"))


class DcpS3ImportOperator(LoadingOperator, WindowedOperator, DataOperator):
    """Check rows against the table's attributes and upload them as CSV for import, in one pass.

    Nothing is visible to the vendor unless every row is valid, or `on_invalid` says otherwise. A file gets a name never
    used before, since files of one name may be processed out of order. Airflow's retries send only what is missing,
    under the same name; a cleared task is a new import. Without `wait` the result's state is "uploaded": the
    vendor imports the files later, and a `DcpUploadSensor` with `s3_key=` this operator's output waits for that.

    One load at a time works on a table; another one waits for it, deferred. A load of older data than the newest
    committed snapshot sends nothing; of customers whom a newer delta or profile write brought, `mode="changed"` leaves
    the older rows out, and "full" is refused. An import writes the attributes that it has; others keep what they hold,
    and no profile is ever removed. Rows are not left out for newer ones of other columns: such a load is refused.

    :param table_id: the table; its S3 path is read from it, and its keys unless the connection names an `aws_conn_id`.
    :param source: a .csv or .tsv file, also .gz or .zst, goes up as it is: a path, or a URL such as s3://conn_id@bucket/key;
        or another source as `OptixUploadOperator` takes it, such as a list of at most 5000 mappings.
    :param sql: instead of `source`, a query; a name that ends in .sql is a file with the query. Templates know
        `{{ window.start }}` and `{{ window.end }}`.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param mode: "full" sends every row, in one pass with the check; "changed" only what the table does not have
        already, which needs `wait=True`: what it has is known once an import is confirmed.
    :param source_is: with "changed": a "snapshot" has every key that is to be there, a "delta" some of them. Left out,
        it is a snapshot. The keys that a snapshot lacks are reported.
    :param guards: what "changed" takes for an accident: `Guards(...)`, or a mapping of its members.
    :param expected_plan: with "changed", the digest of a plan: only that is carried out.
    :param window: the window that the rows stand for, {"start": ..., "end": ...}, if no template names it.
    :param window_grain: to what the window of a run is floored that has neither a data interval nor a partition: a
        part of a day, or whole days; a timedelta or seconds.
    :param window_lookback: how much earlier templates have `{{ window.start }}`, for rows that arrive late: a timedelta
        or seconds. What the rows stand for stays the window.
    :param lock_timeout: how long to wait for another load into the same table, a timedelta or seconds.
    :param verify: with `wait`, which rows are read back once an import that nobody counts has begun: "sample", about
        twenty of each file; "all"; or a share of them. One request a row, at the connection's `requests_per_10s`. Rows
        that are not there are rejected, and named in a file.
    :param reverify_after: with "changed": rows that were accepted that long ago, and that nobody counted, are sent
        again, a timedelta or seconds; 0 sends them with every load, None never.
    :param assume_settled: with "changed": files of earlier loads that nobody saw imported are taken for imported.
    :param overwrite_newer: with "full": also what the ledger has newer is overwritten.
    :param strict: what the vendor's guide calls right here and wrong there: False warns, and writes it as both ways are
        right; True makes the row invalid, as `ValidateCsvOperator` does.
    :param allow_pii: columns that look like personal data, which the vendor's terms forbid to send, and are none.
    :param on_invalid: "fail" imports nothing if a row is invalid; "split" imports the valid rows, and keeps the others
        with their reasons in staging.
    :param max_rejected: with "split", how many rows may be invalid, or which share of all rows if it is below 1: 0
        unless it is given, as for an upload into Opti-X; None for any number. If there are more, nothing is imported.
    :param epoch_unit: "seconds" or "milliseconds": what dates with a time become in attributes of the format epoch.
    :param max_file_bytes: a file ends before this size, and the next begins; the vendor takes less than 10 GB.
    :param limit: only the first so many rows of the source, for a first load to a test connection; None for all. What
        is beyond is not read, and the load counts as a delta, whatever `source_is` says.
    :param dry_run: check and count only; nothing is uploaded. With "changed" the result has the plan's counts, and its
        digest as `plan`.
    :param wait: wait until the files are imported, as a `DcpUploadSensor` does: the result's state is "committed" then,
        and rows that the upload history reports failed are rejected, which fails the task.
    :param poke_interval: with `wait`, seconds between two looks.
    :param wait_timeout: with `wait`, fail after so long, a timedelta or seconds; a retry goes on waiting. With
        "changed" no other load works on the table until then.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param dcp_conn_id: the connection to DCP.
    """

    template_fields: Sequence[str] = (
        "table_id",
        "source",
        "sql",
        "sql_conn_id",
        "parameters",
        "mode",
        "guards",
        "expected_plan",
        "window",
        "window_grain",
        "window_lookback",
        "lock_timeout",
        "verify",
        "reverify_after",
        "overwrite_newer",
        "strict",
        "allow_pii",
        "max_rejected",
        "limit",
        "dry_run",
        "wait_timeout",
        "dcp_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json"}  # noqa: RUF012 - the base class's own form
    checked = MappingProxyType(
        {
            "mode": one_of(MODES),
            "guards": Guards,
            "max_rejected": ANY_REJECTED,
            "limit": LIMIT,
            "dry_run": FLAG,
            "overwrite_newer": FLAG,
            "strict": FLAG,
            "window_grain": GRAIN,
            "window_lookback": SPAN,
            "lock_timeout": SPAN,
            "wait_timeout": SPAN,
            "verify": READ_BACK,
            "reverify_after": OPTIONAL_SPAN,
        }
    )
    dry_run: bool  # type: ignore[assignment]  # Airflow's own, a method, only renders the templates

    def __init__(  # noqa: PLR0915 - one statement a parameter
        self,
        *,
        table_id: int,
        source: Source | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Any = None,
        mode: str = "full",
        source_is: str | None = None,
        guards: Guards | Mapping[str, Any] = Guards(),
        expected_plan: str | None = None,
        window: Mapping[str, Any] | None = None,
        window_grain: timedelta | float = timedelta(days=1),
        window_lookback: timedelta | float = timedelta(0),
        lock_timeout: timedelta | float = timedelta(hours=1),
        verify: str | float = "sample",
        reverify_after: timedelta | float | None = timedelta(days=30),
        assume_settled: bool = False,
        overwrite_newer: bool = False,
        strict: bool = False,
        allow_pii: Sequence[str] = (),
        on_invalid: str = "fail",
        max_rejected: float | None = 0,
        epoch_unit: "EpochUnit" = "seconds",
        max_file_bytes: int = 9_900_000_000,
        limit: int | None = None,
        dry_run: bool = False,
        wait: bool = False,
        poke_interval: float = 60,
        wait_timeout: timedelta | float = timedelta(hours=12),
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.source = source
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.mode = mode
        self.source_is = source_is
        self.guards = guards
        self.expected_plan = expected_plan
        self.window = window
        self.window_grain = window_grain
        self.window_lookback = window_lookback
        self.lock_timeout = lock_timeout
        self.verify = verify
        self.reverify_after = reverify_after
        self.assume_settled = assume_settled
        self.overwrite_newer = overwrite_newer
        self.strict = strict
        self.allow_pii = allow_pii
        self.on_invalid = on_invalid
        self.max_rejected = max_rejected
        self.epoch_unit = epoch_unit
        self.max_file_bytes = max_file_bytes
        self.limit = limit
        self.dry_run = dry_run
        self.wait = wait
        self.poke_interval = poke_interval
        self.wait_timeout = wait_timeout
        self.deferrable = deferrable
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def check_together(self) -> None:
        """Raise SettingsError for words that are unknown, or contradict each other."""
        _check_mode(self.mode, self.source_is, self.expected_plan, waits=self.wait or bool(self.dry_run))
        if self.mode == "changed" and self.overwrite_newer is True:
            raise SettingsError('overwrite_newer needs mode="full": "changed" leaves out what is older')
        if self.verify != "sample" and not is_template(self.verify) and not (self.wait or self.dry_run):
            raise SettingsError(f"verify={self.verify!r} needs wait=True: rows are read back once they are imported")

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account of the load, with the uploaded files as `s3_keys`."""
        self.read_rendered()
        return self.take_turn(context, str(self.surroundings.new_id())) if self.dry_run else self.begin(context)

    def execute_complete(self, context: "Context", event: dict[str, Any], load_id: str) -> dict[str, Any]:
        """Finish with what the trigger saw."""
        self.read_rendered()
        with self.telling(context, load_id):
            return self._finish(context, event, load_id)

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the load, and of the wait for its import."""
        from optimove_provider.loads.dcp.load import outcome

        wait = as_timedelta("wait_timeout", self.wait_timeout)
        with DcpHook(self.dcp_conn_id).get_conn() as client:
            load = self.table_import(client, context, waiting.load_id)
            self.run_import(load, wait, waiting.waited)
            sweep(load.staging)
            if self.wait and load.report.state == "uploaded":
                defer = partial(self._defer, client, load.report) if self.deferrable else None
                pause = as_timedelta("poke_interval", self.poke_interval)
                self._confirm(context, load.report, outcome(load, wait, pause, defer))
        return _result_of(load.report, load.staging)

    def run_import(self, load: "TableImport", wait: timedelta, resumed: bool) -> None:
        """Check and upload, or plan."""
        from optimove_provider.loads.dcp.load import run

        run(load, wait, resumed)

    def table_import(self, client: "DcpClient", context: "Context", load_id: str) -> "TableImport":
        """This try of the load."""
        from optimove_provider.contract.cells.datatypes import in_unit
        from optimove_provider.contract.dcp.config import writable
        from optimove_provider.loads.dcp.options import TableImport, table_ledger

        table = writable(client.read_table(id_number("table_id", self.table_id)))
        source, marker = self._rows(), marker_if_there(self.source)
        options = self._import_options(in_unit(client.list_attributes(table.id), self.epoch_unit))
        to, history = self._destination(client, table, load_id), upload_history(client, table.id, self.staging())
        report = self.report_of(context, to.staging, load_id, client.settings.target("dcp", table.id))
        generation = marker.generation if marker else self.generation(self.window)
        report.generation = generation.isoformat() if generation else ""
        report.service_id = table.service_id
        self.tells_of(report, to.staging, client, options.attributes)
        self.note_missed_points(report)
        return TableImport(
            source=source,
            options=options,
            to=to,
            report=report,
            ledger=table_ledger(to.staging, report),
            outcome_of=history.outcome,
            remember=history.remembering(table, options.attributes),
            mode=self.mode,
            changed=self._changed_options(),
            generation=generation,
            opened=marker.opened if marker else None,
            try_number=context["ti"].try_number,
            overwrite_newer=self.overwrite_newer,
            verify=self._share,
        )

    def report_of(self, context: "Context", place: "Staging", load_id: str, target: Mapping[str, Any]) -> "Report":
        """The report of this try, of which staging knows."""
        return begun_report(context, place, load_id, target, self.mode)

    def _confirm(self, context: "Context", report: "Report", outcome: "Outcome") -> None:
        from optimove_provider.loads.dcp.load import confirm

        with self._verification(report) as verification:
            confirm(self.staging(), report, outcome, context["ti"].try_number, verification)

    @property
    def _share(self) -> float:
        """The share of the rows that are read back one by one."""
        return _SHARES[self.verify] if isinstance(self.verify, str) else self.verify

    @contextmanager
    def _verification(self, report: "Report") -> "Iterator[Verification | None]":
        from optimove_provider.loads.evidence.verification import Verification

        if not self._share:
            yield None
            return
        pause, wait = as_timedelta("poke_interval", self.poke_interval), as_timedelta("wait_timeout", self.wait_timeout)
        with DcpHook(self.dcp_conn_id).get_conn() as client:
            table_id = id_number("table_id", self.table_id)
            yield Verification(client, table_id, self.staging(), report.load_id, self._share, pause, wait)

    def _finish(self, context: "Context", event: dict[str, Any], load_id: str) -> dict[str, Any]:
        from optimove_provider.contract.dcp.upload_history import Outcome
        from optimove_provider.loads.dcp.load import filed_report

        place = self.staging()
        report = filed_report(place, load_id)
        self.tells_of(report, place)
        if "error" in event:
            raise as_airflow_failure(event["error"], retry_helps=event["retry_helps"])
        with airflow_failures():
            self._confirm(context, report, Outcome.from_json(event["outcome"]))
        return _result_of(report, place)

    def _defer(self, client: "DcpClient", report: "Report", left: timedelta) -> None:
        table, keys = id_number("table_id", self.table_id), list(report.s3_keys)
        remembered = upload_history(client, table, self.staging()).remembered(keys)
        samples = None if remembered is None else [one.as_json() for one in remembered]
        poll = as_timedelta("poke_interval", self.poke_interval).total_seconds()
        first = max(poll, FIRST_POLL_SECONDS)
        begun = self._share > 0
        trigger = DcpUploadTrigger(table, keys, self.dcp_conn_id, poll, first, samples=samples, until_begun=begun)
        self.defer(trigger=trigger, method_name="execute_complete", kwargs={"load_id": report.load_id}, timeout=left)

    def _destination(self, client: "DcpClient", table: "Table", load_id: str) -> "Destination":
        from optimove_provider.hooks.s3 import import_bucket
        from optimove_provider.loads.upload.destination import Destination

        bucket = import_bucket(client.settings, table)
        return Destination(bucket, table.s3_path, load_id, self.staging(), client.settings.upload_method)

    def _changed_options(self) -> "ChangedOptions":
        from optimove_provider.loads.dcp.options import ChangedOptions

        return ChangedOptions(
            source_is=self.source_is or default_source(self.mode),  # type: ignore[arg-type]  # checked at parse time
            guards=Guards.of(self.guards),
            expected_plan=self.expected_plan or None,
            assume_settled=self.assume_settled,
            reverify_after=None if self.reverify_after is None else as_timedelta("reverify_after", self.reverify_after),
        )

    def _import_options(self, attributes: "Sequence[Registered]") -> "ImportOptions":
        from optimove_provider.loads.validation.row_check import ImportOptions

        return ImportOptions(
            attributes,
            on_invalid=self.on_invalid,
            max_rejected=self.max_rejected,
            allow_pii=self.allow_pii,
            max_file_bytes=self.max_file_bytes,
            dry_run=self.dry_run,
            strict=self.strict,
            limit=self.limit,
        )

    def _rows(self) -> "CsvFile | OpenRows":
        """A CSV file, which goes up as it is, or what opens the rows of any other source."""
        from optimove_provider.loads.validation.csv_file import CsvFile

        check_one_source(self.source, self.sql, self.sql_conn_id)
        if isinstance(self.source, str) and self.source.casefold().endswith(_CSV) and not set("*?[") & set(self.source):
            return CsvFile(self.source, partial(open_file, self.source))
        return partial(open_rows, self.source, self.sql, self.sql_conn_id, self.parameters, self.limit)


def _check_mode(mode: str, source_is: str | None, expected_plan: str | None, waits: bool) -> None:
    """Raise SettingsError for a word that is unknown, or that contradicts another; a template contradicts nothing."""
    check_modes("changed" if is_template(mode) else mode, source_is or default_source(mode), "report")
    if mode == "changed" and not waits:
        raise SettingsError('mode="changed" needs wait=True: what the table has is known once an import is confirmed')
    if mode == "full" and (source_is == "snapshot" or expected_plan):
        raise SettingsError('source_is="snapshot" and expected_plan need mode="changed": "full" compares nothing')


def _result_of(report: "Report", place: "Staging") -> dict[str, Any]:
    return {**report.result(place), "s3_keys": list(report.s3_keys)}
