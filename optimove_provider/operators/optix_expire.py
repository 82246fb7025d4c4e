"""The operator that makes records of Opti-X expire by key."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import connection_uuid
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.kinds import FLAG, GRAIN, KEYS, MAX_REJECTED, SPAN
from optimove_provider.options import Sending
from optimove_provider.tasks.deferral import LoadingOperator, Waiting, begun_report
from optimove_provider.tasks.sources import Source, check_one_source, marker_if_there, open_rows
from optimove_provider.tasks.staging import sweep
from optimove_provider.tasks.templates import DataOperator
from optimove_provider.tasks.windows.window import WindowedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.loads.erasure.expire_keys import ExpireOptions
    from optimove_provider.loads.spool.freeze import OpenRows
    from optimove_provider.records.rows import Rows


class OptixExpireOperator(LoadingOperator, WindowedOperator, DataOperator):
    """Make the records of named keys expire, whether or not a load of ours brought them.

    Opti-X documents no call that deletes a record. So each is replaced by one that has its key alone and expires after
    a second, all of them in one batch. Keys of which the ledger has a newer record are left, as stale, unless they are
    suppressed. A later load that has a key sends its record anew, unless it is suppressed.

    The report names a file that tells, key by key, when it was sent, in which batch, and how that was answered. Keys
    in `keys` are kept by Airflow among a run's rendered fields: where they are personal, name a query or a file.

    :param data_connection_uuid: where the records are.
    :param primary_key: the name of the key field there, and of the column that holds the keys of `sql` and `source`.
    :param keys: at most 5000 keys, texts or whole numbers, or one; none of them is nothing to do. A template gives one
        key, or a JSON list of them.
    :param sql: instead of `keys`, a query that gives them; a name that ends in .sql is a file with the query. Templates
        know `{{ window.start }}` and `{{ window.end }}`.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param source: instead of both, files or a short list, as for `OptixUploadOperator`. Only the key's column is read.
    :param suppress: put the keys on the target's suppression list too, so that no later load brings them back, until
        `airflow optimove suppressions remove` takes them off.
    :param key_type: "string" or "integer": the type in which all keys travel.
    :param max_rejected: how many keys may be refused, or which share of them if it is below 1.
    :param window: the window that the keys stand for, {"start": ..., "end": ...}, if no template names it.
    :param window_grain: to what the window of a run is floored that has neither a data interval nor a partition: a
        part of a day, or whole days; a timedelta or seconds.
    :param window_lookback: how much earlier templates have `{{ window.start }}`, for keys that arrive late: a timedelta
        or seconds. What they stand for stays the window.
    :param lock_timeout: how long to wait for another load into the same target, a timedelta or seconds.
    :param sending: requests in flight, and what a retry goes on with: `Sending(...)`, or a mapping of its members.
    :param optix_conn_id: the connection of Opti-X.
    """

    vendor = "optix"
    told_mode = "expire"
    template_fields: Sequence[str] = (
        "data_connection_uuid",
        "primary_key",
        "keys",
        "sql",
        "sql_conn_id",
        "parameters",
        "source",
        "suppress",
        "max_rejected",
        "sending",
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
            "keys": KEYS,
            "suppress": FLAG,
            "max_rejected": MAX_REJECTED,
            "sending": Sending,
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
        keys: Sequence[str | int] | str | int | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Any = None,
        source: Source | None = None,
        suppress: bool = False,
        key_type: str = "string",
        max_rejected: float = 0,
        sending: Sending | Mapping[str, Any] = Sending(),
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
        self.keys = keys
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.source = source
        self.suppress = suppress
        self.key_type = key_type
        self.max_rejected = max_rejected
        self.sending = sending
        self.window = window
        self.window_grain = window_grain
        self.window_lookback = window_lookback
        self.lock_timeout = lock_timeout
        self.optix_conn_id = optix_conn_id
        self.check_literals()

    def check_together(self) -> None:
        """Raise SettingsError unless keys are named in one way."""
        if sum(one is not None for one in (self.keys, self.sql, self.source)) != 1:
            raise SettingsError("name the keys in one way: keys=, sql= or source=")

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account: load_id, state, rows, accepted, rejected, unchanged, stale, suppressed, unsent, report (a
        URL). Each row is a key; the accepted ones are those whose records expire."""
        self.read_rendered()
        return self.begin(context)

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the load."""
        from optimove_provider.loads.erasure.expire_keys import expire_keys

        with OptixHook(self.optix_conn_id).get_conn() as client:
            opened, place = self._opening(), self.staging()
            target = client.settings.target("optix", connection_uuid(self.data_connection_uuid))
            report = begun_report(context, place, waiting.load_id, target, self.told_mode)
            self.tells_of(report, place, client)
            self.note_missed_points(report)
            try_number = context["ti"].try_number
            expire_keys(client, opened, place, report, self._options(), try_number, waiting.waited)
            sweep(place)
        return report.result(place)

    def _opening(self) -> "OpenRows":
        if self.keys is not None:
            return partial(_opened, self.primary_key, KEYS.normal(self.keys))
        check_one_source(self.source, self.sql, self.sql_conn_id)
        return partial(open_rows, self.source, self.sql, self.sql_conn_id, self.parameters)

    def _options(self) -> "ExpireOptions":
        from optimove_provider.loads.erasure.expire_keys import ExpireOptions
        from optimove_provider.loads.optix.options import OptixTarget, UploadOptions

        marker = marker_if_there(self.source)
        upload = UploadOptions(
            OptixTarget(self.data_connection_uuid, self.primary_key, self.key_type),
            max_rejected=self.max_rejected,
            sending=Sending.of(self.sending),
            generation=marker.generation if marker else self.generation(self.window),
            opened=marker.opened if marker else None,
        )
        return ExpireOptions(upload, self.suppress)


@contextmanager
def _opened(primary_key: str, keys: Sequence[str | int]) -> Iterator["Rows"]:
    """Keys as rows of one column."""
    from optimove_provider.records.read.sources import list_batches

    yield list_batches([{primary_key: key} for key in keys])
