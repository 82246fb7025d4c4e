"""The operator that checks a CSV file before anything is sent."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import id_number
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.tasks.attributes import Attributes, read_attributes
from optimove_provider.tasks.failures import airflow_failures
from optimove_provider.tasks.sources import open_file
from optimove_provider.tasks.staging import staging

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.contract.cells.datatypes import EpochUnit
    from optimove_provider.contract.cells.registered import Registered
    from optimove_provider.records.validate.validate import Options


class ValidateCsvOperator(BaseOperator):
    """Check a CSV file: its text, its header, its rows, and for DCP every cell against its attribute's datatype.

    Fails with the first findings in the log, each with row, line, column, rule and value; the whole report goes to
    staging.

    :param source: a .csv or .tsv file, also .gz or .zst: a path, or a URL such as s3://conn_id@bucket/key.
    :param table_id: the DCP table whose attributes count; or
    :param attributes: a list of {"name", "datatype", "format"}, or what else `DcpRegisterAttributesOperator` takes; or
    :param primary_key: the key column of an Opti-X data connection, to which any other column may go.
    :param strict: where the vendor's text and tables contradict each other, False warns, True refuses.
    :param epoch_unit: "seconds" or "milliseconds": what the values of attributes of format epoch are. Those that look
        like the other unit are warned of, or refused if `strict`.
    :param allow_pii: columns that are not to be warned of although they look like personal data.
    :param delimiter: what separates cells, such as ";" or "tab"; left out, the name says it.
    :param encoding: of the file, such as "cp1252" or "utf-16"; left out, it is UTF-8. An import takes UTF-8, with
        commas or tabs: so anything else is warned of.
    :param dcp_conn_id: the connection to DCP.
    """

    template_fields: Sequence[str] = (
        "source",
        "table_id",
        "attributes",
        "primary_key",
        "allow_pii",
        "delimiter",
        "encoding",
        "dcp_conn_id",
    )

    def __init__(
        self,
        *,
        source: str,
        table_id: int | None = None,
        attributes: Attributes | None = None,
        primary_key: str | None = None,
        strict: bool = False,
        epoch_unit: "EpochUnit" = "seconds",
        allow_pii: Sequence[str] = (),
        delimiter: str | None = None,
        encoding: str | None = None,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.table_id = table_id
        self.attributes = attributes
        self.primary_key = primary_key
        self.strict = strict
        self.epoch_unit = epoch_unit
        self.allow_pii = allow_pii
        self.delimiter = delimiter
        self.encoding = encoding
        self.dcp_conn_id = dcp_conn_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return file, rows, valid_rows, warnings, and the report's URL."""
        from optimove_provider.loads.validation.csv_file import CsvFile, check_file

        with airflow_failures():
            place = staging()
            path = f"reports/{place.surroundings.new_id()}-findings.json"
            file = CsvFile(self.source, partial(open_file, self.source), self.delimiter, self.encoding)
            findings, url = check_file(file, self._attributes(), self._options(), place, path)
        return {
            "file": self.source,
            "rows": findings.rows,
            "valid_rows": findings.valid_rows,
            "warnings": findings.total - findings.errors,
            "report": url,
        }

    def _options(self) -> "Options":
        from optimove_provider.records.key import DCP_KEY, Key
        from optimove_provider.records.observe.defaults import observers_for
        from optimove_provider.records.observe.pii import pii_names
        from optimove_provider.records.validate.validate import Options

        key = Key.of_optix(self.primary_key) if self.primary_key else DCP_KEY
        observers = partial(observers_for, pii=not self.primary_key, allowed_pii=self.allow_pii, key=key)
        if self.primary_key:
            return Options(strict=self.strict, observers=observers, key=key)
        about_names = partial(pii_names, allowed=self.allow_pii)
        return Options(strict=self.strict, observers=observers, about_names=about_names)

    def _attributes(self) -> "list[Registered] | None":
        from optimove_provider.contract.cells.datatypes import in_unit

        if [self.table_id, self.attributes, self.primary_key].count(None) != 2:
            raise SettingsError("give one of table_id=, attributes= and primary_key=")
        if self.primary_key is not None:
            return None
        if self.attributes is not None:
            return in_unit(read_attributes(self.attributes), self.epoch_unit)
        with DcpHook(self.dcp_conn_id).get_conn() as client:
            return in_unit(client.list_attributes(id_number("table_id", self.table_id)), self.epoch_unit)
