"""Operators of Opti-X Data Connections."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.hooks.failures import airflow_failures
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.hooks.staging import staging
from optimove_provider.hooks.storage import Source, open_rows

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class OptixCreateConnectionOperator(BaseOperator):
    """Create an upload-based data connection once, and return its `data_connection_uuid` on every run.

    Once means: once per connection id, host and name. Opti-X cannot list its data connections, so staging remembers.

    :param name: the data connection's name in Opti-X.
    :param primary_key: the name of the key field in every record that will be uploaded.
    :param description: optional; set at creation.
    :param data_connection_uuid: adopt this existing data connection instead of creating one.
    """

    template_fields: Sequence[str] = (
        "name",
        "primary_key",
        "description",
        "data_connection_uuid",
        "optix_conn_id",
    )

    def __init__(
        self,
        *,
        name: str,
        primary_key: str,
        description: str | None = None,
        data_connection_uuid: str | None = None,
        optix_conn_id: str = OptixHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.primary_key = primary_key
        self.description = description
        self.data_connection_uuid = data_connection_uuid
        self.optix_conn_id = optix_conn_id

    def execute(self, context: "Context") -> str:
        """Return the uuid."""
        from optimove_provider.loads.connections import create_once

        with airflow_failures(), OptixHook(self.optix_conn_id).get_conn() as client:
            return create_once(
                client, staging(), self.name, self.primary_key, self.description, self.data_connection_uuid
            )


class OptixUploadOperator(BaseOperator):
    """Upload all rows of a file, a query or a short list, published together or not at all.

    The rows travel in slices of at most 5000 under one batch, which the last slice completes: until then none of them
    is visible. An upload replaces each record whole: fields that are not sent are removed, so select every field that
    must survive. A field that is null is not sent.

    :param data_connection_uuid: where the rows go.
    :param primary_key: the column that holds the key; unique, and never null.
    :param source: a .csv or .tsv file (a path, or a URL such as s3://conn_id@bucket/key), or a list of at most 5000
        mappings.
    :param sql: instead of `source`, a query; a name that ends in .sql is a file with the query.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param mode: "full" sends every row.
    :param key_type: "string" or "integer": Opti-X may take 1 and "1" for two records, so all keys travel as one type.
    :param ttl_seconds: after so many seconds the rows expire; None means never.
    """

    template_fields: Sequence[str] = (
        "data_connection_uuid",
        "primary_key",
        "source",
        "sql",
        "sql_conn_id",
        "parameters",
        "ttl_seconds",
        "optix_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json"}  # noqa: RUF012 - the base class's own form

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
        key_type: str = "string",
        ttl_seconds: int | None = None,
        optix_conn_id: str = OptixHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mode != "full":
            raise ValueError(f"mode={mode!r}: this version knows mode='full' only")
        self.data_connection_uuid = data_connection_uuid
        self.primary_key = primary_key
        self.source = source
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.mode = mode
        self.key_type = key_type
        self.ttl_seconds = ttl_seconds
        self.optix_conn_id = optix_conn_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account: load_id, state, rows, accepted, rejected, unchanged, stale, unsent, report (a URL)."""
        from optimove_provider.loads.report import Report
        from optimove_provider.loads.send import OptixTarget, load_full

        with airflow_failures(), OptixHook(self.optix_conn_id).get_conn() as client:
            ttl_seconds = None if self.ttl_seconds is None else int(self.ttl_seconds)
            target = OptixTarget(self.data_connection_uuid, self.primary_key, self.key_type, ttl_seconds)
            report = Report(str(uuid.uuid4()), {"optix": self.data_connection_uuid, "host": client.settings.host})
            with open_rows(self.source, self.sql, self.sql_conn_id, self.parameters) as batches:
                try:
                    load_full(client, batches, target, report)
                finally:
                    result = report.file(staging())
            self.log.info("%s", report.sentence)
            return result
