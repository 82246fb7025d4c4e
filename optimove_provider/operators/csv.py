"""The operator that checks a CSV file before anything is sent."""

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.contract.errors import SettingsError
from optimove_provider.hooks.attributes import read_attributes
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.failures import airflow_failures
from optimove_provider.hooks.storage import open_file, staging

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.contract.datatypes import Attribute


class ValidateCsvOperator(BaseOperator):
    """Check a CSV file for DCP: header, rows, and every cell against its attribute's datatype.

    Fails with the first findings in the log, each with row, line, column, rule and value; the whole report goes to
    staging.

    :param source: the file: a path, or a URL such as s3://conn_id@bucket/key.
    :param table_id: the table whose attributes count; or
    :param attributes: a list of {"name", "datatype", "format"}, or the path of a JSON file with it.
    :param strict: where the vendor's text and tables contradict each other, False warns, True refuses.
    """

    template_fields: Sequence[str] = ("source", "table_id", "attributes", "dcp_conn_id")

    def __init__(
        self,
        *,
        source: str,
        table_id: int | None = None,
        attributes: str | Sequence[Mapping[str, Any]] | None = None,
        strict: bool = False,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.table_id = table_id
        self.attributes = attributes
        self.strict = strict
        self.dcp_conn_id = dcp_conn_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return file, rows, valid_rows, warnings, and the report's URL."""
        from optimove_provider.loads.imports import checked

        with airflow_failures():
            path = f"reports/{uuid.uuid4()}-findings.json"
            opened = partial(open_file, self.source)
            findings, url = checked(opened, self.source, self._attributes(), staging(), path, strict=self.strict)
        warnings = findings.total - findings.errors
        return {
            "file": self.source,
            "rows": findings.rows,
            "valid_rows": findings.valid_rows,
            "warnings": warnings,
            "report": url,
        }

    def _attributes(self) -> "list[Attribute]":
        if (self.table_id is None) == (self.attributes is None):
            raise SettingsError("give either table_id= or attributes=, not both and not neither")
        if self.attributes is not None:
            return read_attributes(self.attributes)
        with DcpHook(self.dcp_conn_id).get_conn() as client:
            return client.list_attributes(int(str(self.table_id)))
