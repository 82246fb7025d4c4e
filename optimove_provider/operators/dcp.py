"""Operators of Dynamic Customer Profiles. The creating ones ensure: what exists and agrees is kept."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.hooks.attributes import read_attributes
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.failures import airflow_failures
from optimove_provider.hooks.staging import staging
from optimove_provider.hooks.storage import Source, open_file, open_rows

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.contract.dcp import Ensured
    from optimove_provider.loads.checks import CsvFile


class DcpCreateServiceOperator(BaseOperator):
    """Ensure that the account has a DCP service, and return its id. An account has at most one: that one is kept.

    :param name: the service's name if it has to be created.
    """

    template_fields: Sequence[str] = ("name", "dcp_conn_id")

    def __init__(self, *, name: str, dcp_conn_id: str = DcpHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.dcp_conn_id = dcp_conn_id

    def execute(self, context: "Context") -> int:
        """Return the service's id."""
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            return _told(self, "service", client.ensure_service(self.name))


class DcpCreateTableOperator(BaseOperator):
    """Ensure that a service has a table, and return its id. A table that finds its customers otherwise is an error.

    :param service_id: the service that holds the table.
    :param name: the table's name.
    :param keyfield_locator_type: where the customer id is found on a page: cookie, query parameter, js_variable, uid.
    :param keyfield_locator_name: the name of that cookie, parameter or variable; none for uid.
    :param description: optional; set at creation and not compared afterwards.
    """

    template_fields: Sequence[str] = (
        "service_id",
        "name",
        "keyfield_locator_type",
        "keyfield_locator_name",
        "description",
        "dcp_conn_id",
    )

    def __init__(
        self,
        *,
        service_id: int,
        name: str,
        keyfield_locator_type: str,
        keyfield_locator_name: str | None = None,
        description: str | None = None,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service_id = service_id
        self.name = name
        self.keyfield_locator_type = keyfield_locator_type
        self.keyfield_locator_name = keyfield_locator_name
        self.description = description
        self.dcp_conn_id = dcp_conn_id

    def execute(self, context: "Context") -> int:
        """Return the table's id."""
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            ensured = client.ensure_table(
                int(self.service_id),
                self.name,
                self.keyfield_locator_type,
                self.keyfield_locator_name,
                self.description,
            )
            return _told(self, "table", ensured)


class DcpRegisterAttributesOperator(BaseOperator):
    """Ensure that a table has attributes, and return the table's id. One that disagrees is an error, and nothing is
    registered then: the API can change neither datatype nor format.

    :param table_id: the table.
    :param attributes: a list of {"name", "datatype", "format", "description"}, or the path of a JSON file with it.
    """

    template_fields: Sequence[str] = ("table_id", "attributes", "dcp_conn_id")

    def __init__(
        self,
        *,
        table_id: int,
        attributes: str | Sequence[Mapping[str, Any]],
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.attributes = attributes
        self.dcp_conn_id = dcp_conn_id

    def execute(self, context: "Context") -> int:
        """Return the table's id."""
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            wanted = read_attributes(self.attributes)
            return _told(self, "attributes", client.ensure_attributes(int(self.table_id), wanted))


class DcpS3ImportOperator(BaseOperator):
    """Validate rows against the table's attributes and upload them as one CSV file for import.

    Nothing is uploaded unless every row is valid. The file gets a name never used before, since files of one name may
    be processed out of order. The result's state is "uploaded": the vendor imports the file later, and a
    `DcpUploadSensor` with `s3_key=` this operator's output waits for that.

    :param table_id: the table; its S3 path is read from it, and its keys unless the connection names an `aws_conn_id`.
    :param source: a .csv or .tsv file, also .gz or .zst (a path, or a URL such as s3://conn_id@bucket/key); or a list
        of at most 5000 mappings.
    :param sql: instead of `source`, a query; a name that ends in .sql is a file with the query.
    :param sql_conn_id: the connection on which the query runs.
    :param parameters: the query's parameters.
    :param allow_pii: columns that look like personal data, which the vendor's terms forbid to send, and are none.
    """

    template_fields: Sequence[str] = (
        "table_id",
        "source",
        "sql",
        "sql_conn_id",
        "parameters",
        "allow_pii",
        "dcp_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql", "parameters": "json"}  # noqa: RUF012 - the base class's own form

    def __init__(
        self,
        *,
        table_id: int,
        source: Source | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Any = None,
        allow_pii: Sequence[str] = (),
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.source = source
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.allow_pii = allow_pii
        self.dcp_conn_id = dcp_conn_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account of the load, with the uploaded files as `s3_keys`."""
        from optimove_provider.hooks.s3 import import_client
        from optimove_provider.loads.imports import ImportTarget, import_csv
        from optimove_provider.loads.report import Report

        with (
            airflow_failures(),
            DcpHook(self.dcp_conn_id).get_conn() as client,
            self._csv() as file,
        ):
            table = client.read_table(int(self.table_id))
            attributes = client.list_attributes(table.id)
            target = ImportTarget(import_client(client.settings, table), client.settings.import_bucket, table.s3_path)
            report = Report(str(uuid.uuid4()), {"dcp": table.id, "host": client.settings.host})
            try:
                import_csv(file, attributes, target, staging(), report, self.allow_pii)
            finally:
                result = report.file(staging())
        self.log.info("%s", report.sentence)
        return {**result, "s3_keys": list(report.s3_keys)}

    @contextmanager
    def _csv(self) -> "Iterator[CsvFile]":
        """The rows as a CSV file that can be opened more than once."""
        from optimove_provider.loads.checks import CsvFile
        from optimove_provider.loads.imports import written_csv
        from optimove_provider.records.reading import check_name

        if isinstance(self.source, str) and self.sql is None:
            check_name(self.source)
            yield CsvFile(self.source, partial(open_file, self.source))
            return
        with (
            open_rows(self.source, self.sql, self.sql_conn_id, self.parameters) as batches,
            written_csv(batches) as open_csv,
        ):
            yield CsvFile("the query's rows" if self.sql else "the list's rows", open_csv)


def _told(operator: BaseOperator, what: str, ensured: "Ensured") -> int:
    """Log what was done; returns the id."""
    created = ", ".join(map(repr, ensured.created))
    operator.log.info("%s %s", what, f"created: {created}" if created else "kept as it is")
    return ensured.id
