"""Operators of Opti-X Data Connections."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.contract.wire.targets import connection_uuid
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.kinds import FIELDS, FLAG, GRAIN, LIMIT, MAX_REJECTED, SPAN, TTL_SECONDS, is_template, one_of
from optimove_provider.loads.plan.modes import MODES, check_deletes, check_limit, check_modes, default_source
from optimove_provider.operators.optix_expire import OptixExpireOperator as OptixExpireOperator
from optimove_provider.options import Guards, Sending
from optimove_provider.tasks.deferral import LoadingOperator, Waiting, begun_report
from optimove_provider.tasks.failures import airflow_failures
from optimove_provider.tasks.sources import Source, check_one_source, marker_if_there, open_rows
from optimove_provider.tasks.staging import staging, sweep
from optimove_provider.tasks.templates import DataOperator
from optimove_provider.tasks.windows.window import WindowedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.clients.optix import OptixClient
    from optimove_provider.loads.optix.options import UploadOptions
    from optimove_provider.loads.optix.update import Update
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.spool.freeze import OpenRows
    from optimove_provider.loads.state.staging import Staging


class OptixCreateConnectionOperator(BaseOperator):
    """Create an upload-based data connection once, and return its `data_connection_uuid` on every run.

    Once means: once per connection id, host and name. Opti-X cannot list its data connections, so staging remembers.

    :param name: the data connection's name in Opti-X.
    :param primary_key: the name of the key field in every record that will be uploaded.
    :param description: optional; set at creation.
    :param data_connection_uuid: adopt this existing data connection instead of creating one.
    :param recreate: the uuid of one that is gone, as it was deleted in Opti-X or an emulator was reset: another one is
        created in its place, with a ledger of its own, but only while that is the uuid that staging remembers. So it
        does no harm to leave it there. Campaigns name the uuid in their formulas: give them the new one.
    :param optix_conn_id: the connection to Opti-X.
    """

    template_fields: Sequence[str] = (
        "name",
        "primary_key",
        "description",
        "data_connection_uuid",
        "recreate",
        "optix_conn_id",
    )

    def __init__(
        self,
        *,
        name: str,
        primary_key: str,
        description: str | None = None,
        data_connection_uuid: str | None = None,
        recreate: str | None = None,
        optix_conn_id: str = OptixHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.primary_key = primary_key
        self.description = description
        self.data_connection_uuid = data_connection_uuid
        self.recreate = recreate
        self.optix_conn_id = optix_conn_id

    def execute(self, context: "Context") -> str:
        """Return the uuid."""
        from optimove_provider.loads.optix.create_connection import create_once

        with airflow_failures(), OptixHook(self.optix_conn_id).get_conn() as client:
            return create_once(
                client,
                staging(),
                self.name,
                self.primary_key,
                self.description,
                self.data_connection_uuid,
                (self.recreate or "").strip() or None,
            )


class _OptixLoadingOperator(LoadingOperator):
    vendor = "optix"


class OptixUploadOperator(_OptixLoadingOperator, WindowedOperator, DataOperator):
    """Bring a data connection to what the rows of files, a query or a short list say, all at once or not at all.

    The rows travel in slices of at most 5000 under one batch, which is completed last: until then none of them is
    visible. Rows that the server refuses are found and kept aside with its words, the others land. A retry goes on
    where the last try ended; a Clear reads the source again. One load at a time works on a data connection; another
    one waits for it, deferred. A load of older data never overwrites newer data.

    An upload replaces each record whole: fields that are not sent are removed, so select every field that must
    survive.

    :param data_connection_uuid: where the rows go.
    :param primary_key: the column that holds the key; unique, and never null.
    :param source: a path or URL (s3://conn_id@bucket/key) of a .csv, .tsv, .jsonl, .parquet or .arrow file, text also
        as .gz or .zst; a glob, or a list of them; or a list of at most 5000 mappings. The rejected file of an earlier
        load is replayed.
    :param sql: instead of `source`, a query; a name that ends in .sql is a file with the query. Templates know
        `{{ window.start }}` and `{{ window.end }}`.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param mode: "full" sends every row, "changed" only what the target does not have already.
    :param source_is: a "snapshot" has every key that is to be there, a "delta" some of them. Left out, it is a snapshot
        with mode="changed" and a delta with mode="full".
    :param deleted_column: the column of a delta that says which rows are deletions: true or false, 1 or 0, or such
        words. Their records are made to expire, after the others are there; the column itself is not sent.
    :param on_removed: what becomes of keys that a snapshot lacks: "report" them once, or "expire" them.
    :param key_type: "string" or "integer": Opti-X may take 1 and "1" for two records, so all keys travel as one type.
    :param nulls: "omit" leaves a field that is null out, "null" sends it, "refuse" rejects the row.
    :param ttl_seconds: after so many seconds the rows expire; None means never.
    :param max_rejected: how many rows may be rejected, or which share of them if it is below 1. It is judged before
        anything is sent, and again at the end: then the good rows are committed, and the task fails all the same.
    :param guards: what is taken for an accident: `Guards(...)`, or a mapping of its members.
    :param sending: requests in flight, and what a retry goes on with: `Sending(...)`, or a mapping of its members.
    :param stamp: fields that are added to each record that is sent, such as {"synced_at": "{{ dag_run.run_after }}"}:
        rendered once a load. A row counts as unchanged whatever its stamp, and keeps the one that it was sent with.
    :param limit: only the first so many rows of the source, for a first load to a test connection; None for all. What
        is beyond is not read, and the load counts as a delta, whatever `source_is` says.
    :param resend_rejected: rows that the server refuses are kept in the ledger as owed, with their age, and go again
        with later loads that have this, `Sending(owed_tries=5)` times, while they are the newest word on their key.
    :param dry_run: only plan: return counts and the plan's digest, send nothing, leave nothing behind but a report.
    :param expected_plan: the digest of a plan: only that is carried out.
    :param window: the window that the rows stand for, {"start": ..., "end": ...}, if no template names it.
    :param window_grain: to what the window of a run is floored that has neither a data interval nor a partition: a
        part of a day, or whole days; a timedelta or seconds.
    :param window_lookback: how much earlier templates have `{{ window.start }}`, for rows that arrive late: a timedelta
        or seconds. What the rows stand for stays the window.
    :param lock_timeout: how long to wait for another load into the same target, a timedelta or seconds.
    :param optix_conn_id: the connection to Opti-X.
    """

    dry_run: bool  # type: ignore[assignment]  # hides a method that only `airflow tasks test --dry-run` calls
    template_fields: Sequence[str] = (
        "data_connection_uuid",
        "primary_key",
        "source",
        "sql",
        "sql_conn_id",
        "parameters",
        "mode",
        "ttl_seconds",
        "max_rejected",
        "guards",
        "sending",
        "stamp",
        "limit",
        "resend_rejected",
        "dry_run",
        "expected_plan",
        "window",
        "window_grain",
        "window_lookback",
        "lock_timeout",
        "optix_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json"}  # noqa: RUF012 - the base class's own form
    checked = MappingProxyType(
        {
            "mode": one_of(MODES),
            "ttl_seconds": TTL_SECONDS,
            "max_rejected": MAX_REJECTED,
            "guards": Guards,
            "sending": Sending,
            "stamp": FIELDS,
            "limit": LIMIT,
            "resend_rejected": FLAG,
            "dry_run": FLAG,
            "window_grain": GRAIN,
            "window_lookback": SPAN,
            "lock_timeout": SPAN,
        }
    )

    def __init__(
        self,
        *,
        data_connection_uuid: str,
        primary_key: str,
        source: Source | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Any = None,
        mode: str = "full",
        source_is: str | None = None,
        on_removed: str = "report",
        deleted_column: str | None = None,
        key_type: str = "string",
        nulls: str = "omit",
        ttl_seconds: int | None = None,
        max_rejected: float = 0,
        guards: Guards | Mapping[str, Any] = Guards(),
        sending: Sending | Mapping[str, Any] = Sending(),
        stamp: Mapping[str, Any] | None = None,
        limit: int | None = None,
        resend_rejected: bool = False,
        dry_run: bool = False,
        expected_plan: str | None = None,
        window: Mapping[str, Any] | None = None,
        window_grain: timedelta | float = timedelta(days=1),
        window_lookback: timedelta | float = timedelta(0),
        lock_timeout: timedelta | float = timedelta(hours=1),
        optix_conn_id: str = OptixHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_connection_uuid = data_connection_uuid
        self.primary_key = primary_key
        self.source = source
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.mode = mode
        self.source_is = source_is
        self.on_removed = on_removed
        self.deleted_column = deleted_column
        self.key_type = key_type
        self.nulls = nulls
        self.ttl_seconds = ttl_seconds
        self.max_rejected = max_rejected
        self.guards = guards
        self.sending = sending
        self.stamp = stamp
        self.limit = limit
        self.resend_rejected = resend_rejected
        self.dry_run = dry_run
        self.expected_plan = expected_plan
        self.window = window
        self.window_grain = window_grain
        self.window_lookback = window_lookback
        self.lock_timeout = lock_timeout
        self.optix_conn_id = optix_conn_id
        self.check_literals()

    def check_together(self) -> None:
        """Raise SettingsError for words that are unknown, or contradict each other."""
        mode = "changed" if is_template(self.mode) else self.mode  # the one that contradicts nothing
        check_modes(mode, self.source_is or default_source(mode), self.on_removed)
        if not is_template(self.limit):
            check_limit(self.limit, self.on_removed)
        is_known = self.source_is or not is_template(self.mode)
        source_is = (self.source_is or default_source(mode)) if is_known else "delta"
        check_deletes(self.deleted_column, source_is, self.primary_key)

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account: load_id, state, rows, accepted, rejected, unchanged, stale, deleted, suppressed, unsent,
        report (a URL).

        A dry run's has plan (its digest), new, changed, unknown, expiring and removed besides. Where rows are owed to
        the target, `owed` counts what became of them; of a dry run that is owed_to_send and owed_to_drop.
        """
        self.read_rendered()
        return self.take_turn(context, str(self.surroundings.new_id())) if self.dry_run else self.begin(context)

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the load, or its plan."""
        from optimove_provider.loads.optix.load import load, plan

        with load_of(self, context, waiting) as what:
            if self.dry_run:
                plan(*what, self.upload_options())
            else:
                load(*what, self.upload_options(), context["ti"].try_number, waiting.waited)
        return what.report.result(what.place)

    def upload_options(self) -> "UploadOptions":
        from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
        from optimove_provider.records.to_json.stamps import stamp_text

        marker = marker_if_there(self.source)
        return UploadOptions(
            OptixTarget(self.data_connection_uuid, self.primary_key, self.key_type, self.ttl_seconds),
            mode=self.mode,  # type: ignore[arg-type]  # checked before
            source_is=self.source_is or default_source(self.mode),  # type: ignore[arg-type]
            on_removed=self.on_removed,  # type: ignore[arg-type]
            nulls=self.nulls,
            max_rejected=self.max_rejected,
            guards=Guards.of(self.guards),
            sending=Sending.of(self.sending),
            generation=marker.generation if marker else self.generation(self.window),
            opened=marker.opened if marker else None,
            expected_plan=self.expected_plan or None,
            limit=self.limit,
            resend_rejected=self.resend_rejected,
            stamp=stamp_text(self.stamp),
            deleted_column=self.deleted_column,
        )


class OptixUpdateOperator(_OptixLoadingOperator, WindowedOperator, DataOperator):
    """Overwrite records by key: each request counts at once, there is no batch that would hold them back.

    Each record is replaced whole: fields that are not sent are removed. Whether a key that is not there is inserted is
    not documented. Keys that a later load has brought already are left out, as stale. For more than a small set, prefer
    `OptixUploadOperator`, which publishes all rows together.

    :param data_connection_uuid: where the rows go.
    :param primary_key: the column that holds the key; unique, and never null. It is sent apart from the other fields.
    :param source: files or a short list, as for `OptixUploadOperator`.
    :param sql: instead of `source`, a query; a name that ends in .sql is a file with the query. Templates know
        `{{ window.start }}` and `{{ window.end }}`.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param key_type: "string" or "integer": the type in which all keys travel.
    :param nulls: "omit" leaves a field that is null out, "null" sends it, "refuse" rejects the row.
    :param ttl_column: the column with each row's own time to live in seconds; it is no field of the record.
    :param ttl_seconds: after so many seconds a row without its own expires; None means never.
    :param stamp: fields that are added to each record that is sent, as for `OptixUploadOperator`.
    :param max_rejected: how many rows may be rejected, or which share of them if it is below 1.
    :param window: the window that the rows stand for, {"start": ..., "end": ...}, if no template names it.
    :param window_grain: to what the window of a run is floored that has neither a data interval nor a partition: a
        part of a day, or whole days; a timedelta or seconds.
    :param window_lookback: how much earlier templates have `{{ window.start }}`, for rows that arrive late: a timedelta
        or seconds. What the rows stand for stays the window.
    :param lock_timeout: how long to wait for another load into the same target, a timedelta or seconds.
    :param sending: requests in flight, and how many may be spent on finding refused rows: `Sending(...)`, or a mapping
        of its members.
    :param optix_conn_id: the connection to Opti-X.
    """

    told_mode = "update"
    template_fields: Sequence[str] = (
        "data_connection_uuid",
        "primary_key",
        "source",
        "sql",
        "sql_conn_id",
        "parameters",
        "ttl_seconds",
        "max_rejected",
        "sending",
        "stamp",
        "window",
        "window_grain",
        "window_lookback",
        "lock_timeout",
        "optix_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json"}  # noqa: RUF012 - the base class's own form
    checked = MappingProxyType(
        {
            "ttl_seconds": TTL_SECONDS,
            "max_rejected": MAX_REJECTED,
            "sending": Sending,
            "stamp": FIELDS,
            "window_grain": GRAIN,
            "window_lookback": SPAN,
            "lock_timeout": SPAN,
        }
    )

    def __init__(
        self,
        *,
        data_connection_uuid: str,
        primary_key: str,
        source: Source | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Any = None,
        key_type: str = "string",
        nulls: str = "omit",
        ttl_column: str | None = None,
        ttl_seconds: int | None = None,
        max_rejected: float = 0,
        sending: Sending | Mapping[str, Any] = Sending(),
        stamp: Mapping[str, Any] | None = None,
        window: Mapping[str, Any] | None = None,
        window_grain: timedelta | float = timedelta(days=1),
        window_lookback: timedelta | float = timedelta(0),
        lock_timeout: timedelta | float = timedelta(hours=1),
        optix_conn_id: str = OptixHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_connection_uuid = data_connection_uuid
        self.primary_key = primary_key
        self.source = source
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.lock_timeout = lock_timeout
        self.key_type = key_type
        self.nulls = nulls
        self.ttl_column = ttl_column
        self.ttl_seconds = ttl_seconds
        self.max_rejected = max_rejected
        self.sending = sending
        self.stamp = stamp
        self.window = window
        self.window_grain = window_grain
        self.window_lookback = window_lookback
        self.optix_conn_id = optix_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account: load_id, state, rows, accepted, rejected, unchanged, stale, suppressed,
        unsent, report (a URL)."""
        self.read_rendered()
        return self.begin(context)

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the load."""
        from optimove_provider.loads.optix.update import load_update

        with load_of(self, context, waiting) as what:
            load_update(*what, self._update(), context["ti"].try_number, waiting.waited)
        return what.report.result(what.place)

    def _update(self) -> "Update":
        from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
        from optimove_provider.loads.optix.update import Update
        from optimove_provider.records.to_json.stamps import stamp_text

        target = OptixTarget(self.data_connection_uuid, self.primary_key, self.key_type, self.ttl_seconds)
        sending, marker = Sending.of(self.sending), marker_if_there(self.source)
        options = UploadOptions(
            target,
            nulls=self.nulls,
            max_rejected=self.max_rejected,
            sending=sending,
            generation=marker.generation if marker else self.generation(self.window),
            opened=marker.opened if marker else None,
            stamp=stamp_text(self.stamp),
        )
        return Update(options, self.ttl_column)


class _What(NamedTuple):
    """What a load works with: who talks, what opens the rows, where its state is, and the report to fill."""

    client: "OptixClient"
    rows: "OpenRows"
    place: "Staging"
    report: "Report"


@contextmanager
def load_of(
    operator: OptixUploadOperator | OptixUpdateOperator, context: "Context", waiting: Waiting
) -> Iterator[_What]:
    """What the operator's load works with; what is old is swept at the end."""
    mode = operator.mode if isinstance(operator, OptixUploadOperator) else "update"
    with OptixHook(operator.optix_conn_id).get_conn() as client:
        source = (operator.source, operator.sql, operator.sql_conn_id)
        check_one_source(*source)
        place = operator.staging()
        target = client.settings.target("optix", connection_uuid(operator.data_connection_uuid))
        report = begun_report(context, place, waiting.load_id, target, mode)
        operator.tells_of(report, place, client)
        operator.note_missed_points(report)
        limit = operator.limit if isinstance(operator, OptixUploadOperator) else None
        yield _What(client, partial(open_rows, *source, operator.parameters, limit), place, report)
        sweep(place)
