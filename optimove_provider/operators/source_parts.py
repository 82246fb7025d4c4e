"""The source of a load in shards, read and frozen by many workers: a task that lists its parts, and mapped ones.

`operators.sharded.sync_in_shards(..., readers=4)` puts them before the task that plans.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.kinds import FIELDS, GRAIN, SPAN, is_template, whole_number
from optimove_provider.links.load import LOAD_ID
from optimove_provider.surroundings import REAL, Surroundings
from optimove_provider.tasks.failures import airflow_failures
from optimove_provider.tasks.sources import Source, check_one_source, open_part, source_parts
from optimove_provider.tasks.staging import begin_load, resume_load, staging
from optimove_provider.tasks.task_states import refuse_to_run_alone
from optimove_provider.tasks.templates import DataOperator
from optimove_provider.tasks.windows.window import WindowedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

PARTS = "parts"
"""The key in XCom under which the list tells of its load."""
READERS = whole_number(1, most=1024)
_QUERY = ("sql", "sql_conn_id", "parameters", "window", "window_grain", "window_lookback")


class _SourceOperator(WindowedOperator, DataOperator):
    """What works on a source without loading it."""

    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json"}  # noqa: RUF012 - the base class's own form
    checked = MappingProxyType({"window_grain": GRAIN, "window_lookback": SPAN})
    surroundings: Surroundings = REAL


class OptixListPartsOperator(_SourceOperator):
    """List the parts of a load's source that several tasks read: its files, as neighbours that are about as large; the
    row groups of Parquet files, where there are fewer files than readers; or ranges of a column of a query.

    Returns a list of small mappings, one for each part, for `.expand(part=parts.output)`. A Clear begins a new load:
    clear it with all that comes after it, as it refuses to run alone.

    :param data_connection_uuid: where the rows go.
    :param primary_key: the column that holds the key.
    :param source: files, a glob, or a list of them, as for `OptixUploadOperator`.
    :param sql: instead of `source`, a query; a name that ends in .sql is a file with the query.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param key_type: as the plan has it.
    :param on_removed: as the plan has it.
    :param nulls: as the plan has it.
    :param deleted_column: as the plan has it.
    :param stamp: as the plan has it: what it is here is sent with all rows.
    :param window: as the plan has it: templates of the query know it.
    :param window_grain: as the plan has it.
    :param window_lookback: as the plan has it.
    :param optix_conn_id: the connection to Opti-X.
    :param readers: how many parts there are, from 1 to 1024; fewer where the source cannot be cut so often, as a single
        CSV file.
    :param shard_by: the column of the query whose ranges the parts are: best the key, with an index. Rows in which it
        is null are in the first part. Its values must not change while they are read; with on_removed="expire" it has
        to be the primary key, as a row that moves from one range to another may be in neither.
    :param shard_bounds: the values at which one range ends and the next begins, in rising order; None for ranges of
        about the same width, from the lowest to the highest value of a column of whole numbers.
    """

    template_fields: Sequence[str] = (
        *_QUERY,
        "source",
        "data_connection_uuid",
        "primary_key",
        "readers",
        "shard_by",
        "shard_bounds",
        "stamp",
        "optix_conn_id",
    )
    checked = MappingProxyType({**_SourceOperator.checked, "readers": READERS, "stamp": FIELDS})

    def __init__(
        self,
        *,
        data_connection_uuid: str,
        primary_key: str,
        source: Source | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Any = None,
        readers: int = 4,
        shard_by: str | None = None,
        shard_bounds: Sequence[Any] | None = None,
        key_type: str = "string",
        on_removed: str = "report",
        nulls: str = "omit",
        deleted_column: str | None = None,
        stamp: Mapping[str, Any] | None = None,
        window: Mapping[str, Any] | None = None,
        window_grain: timedelta | float = timedelta(days=1),
        window_lookback: timedelta | float = timedelta(0),
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
        self.readers = readers
        self.shard_by = shard_by
        self.shard_bounds = shard_bounds
        self.key_type = key_type
        self.on_removed = on_removed
        self.nulls = nulls
        self.deleted_column = deleted_column
        self.stamp = stamp
        self.window = window
        self.window_grain = window_grain
        self.window_lookback = window_lookback
        self.optix_conn_id = optix_conn_id
        self.check_literals()

    def check_together(self) -> None:
        """Raise SettingsError for what contradicts itself."""
        if is_template(self.shard_by):
            return
        if self.sql is not None and not self.shard_by:
            raise SettingsError(
                "readers= of a query: give shard_by=, the column whose ranges are read side by side, best the primary "
                "key; or readers=1"
            )
        if self.sql is None and (self.shard_by or self.shard_bounds):
            raise SettingsError(
                "shard_by= and shard_bounds= are of a query: leave them out, as files are shared out as they are"
            )
        if self.on_removed == "expire" and self.shard_by and not self._is_by_key():
            raise SettingsError(
                f'shard_by={self.shard_by!r} with on_removed="expire": a row whose value changes while the ranges '
                "are read may be in none of them, and would be taken for removed. Name the primary key, "
                f"{self.primary_key!r}, or read with readers=1"
            )

    def _is_by_key(self) -> bool:
        """Whether the ranges are of the primary key, or will be known when the task runs."""
        by_key = str(self.shard_by).strip('"`[]').casefold() == self.primary_key.casefold()
        return by_key or is_template(self.primary_key)

    def execute(self, context: "Context") -> list[dict[str, Any]]:
        """Return the parts."""
        from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
        from optimove_provider.loads.sharded.load import settle
        from optimove_provider.loads.sharded.source_parts import list_parts
        from optimove_provider.records.to_json.stamps import stamp_text

        self.read_rendered()
        with airflow_failures():
            refuse_to_run_alone(self, context, "parts")
            check_one_source(self.source, self.sql, self.sql_conn_id)
            place = staging(self.surroundings)
            load_id = begin_load(place, context)
            with OptixHook(self.optix_conn_id).get_conn() as client:
                target = OptixTarget(self.data_connection_uuid, self.primary_key, self.key_type)
                stamp = stamp_text(self.stamp)
                options = UploadOptions(target, nulls=self.nulls, stamp=stamp, deleted_column=self.deleted_column)
                settled = settle(client, place, options)
            source = (self.source, self.sql, self.sql_conn_id, self.parameters)
            parts = source_parts(*source, self.readers, self.shard_by, self.shard_bounds)
            found = list_parts(place, load_id, parts, settled)
        context["ti"].xcom_push(PARTS, {"load_id": load_id, "listing": found[0].listing})
        context["ti"].xcom_push(LOAD_ID, load_id)
        return [part.as_json() for part in found]


class OptixReadPartOperator(_SourceOperator):
    """Read one part of a load's source into staging, mapped over what `OptixListPartsOperator` returns; nothing is
    sent.

    A retry, or a Clear, reads its own part again. Once something of the load was sent, it does nothing.

    :param part: one of the list's, by `.expand(part=parts.output)`.
    :param sql: the query, if the source is one; a name that ends in .sql is a file with the query.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param window: as the plan has it: templates of the query know it.
    :param window_grain: as the plan has it.
    :param window_lookback: as the plan has it.
    """

    template_fields: Sequence[str] = (*_QUERY, "part")

    def __init__(
        self,
        *,
        part: Mapping[str, Any],
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Any = None,
        window: Mapping[str, Any] | None = None,
        window_grain: timedelta | float = timedelta(days=1),
        window_lookback: timedelta | float = timedelta(0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.part = part
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.window = window
        self.window_grain = window_grain
        self.window_lookback = window_lookback
        self.check_literals()

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the part, its `state`, and how many rows were read."""
        from optimove_provider.loads.sharded.source_parts import SourcePart, read_part

        self.read_rendered()
        with airflow_failures():
            part, place = SourcePart.from_json(self.part), staging(self.surroundings)
            resume_load(place, part.load_id)
            context["ti"].xcom_push(LOAD_ID, part.load_id)
            query = (self.sql, self.sql_conn_id, self.parameters)
            return read_part(place, part, lambda wanted: open_part(wanted, *query))


class OptixFreezePartOperator(DataOperator):
    """Freeze the rows of one part of a load's source, mapped over what `OptixListPartsOperator` returns, once all parts
    are read: they become records, numbered through all parts. Nothing is sent.

    A retry, or a Clear, freezes its own part again. Once something of the load was sent, it does nothing.

    :param part: one of the list's, by `.expand(part=parts.output)`.
    """

    template_fields: Sequence[str] = ("part",)
    surroundings: Surroundings = REAL

    def __init__(self, *, part: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the part, its `state`, and how many of its rows are frozen and rejected."""
        from optimove_provider.loads.sharded.source_parts import SourcePart, freeze_part

        with airflow_failures():
            part, place = SourcePart.from_json(self.part), staging(self.surroundings)
            resume_load(place, part.load_id)
            context["ti"].xcom_push(LOAD_ID, part.load_id)
            return freeze_part(place, part)
