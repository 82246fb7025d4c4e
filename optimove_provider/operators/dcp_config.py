"""Operators of the configuration of DCP. They ensure: what exists and agrees is kept, what disagrees is an error."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import id_number
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.kinds import FLAG
from optimove_provider.tasks.attributes import Attributes, read_attributes
from optimove_provider.tasks.checked_fields import CheckedOperator
from optimove_provider.tasks.failures import airflow_failures

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.contract.dcp.ensure import Ensured


class _EnsuringOperator(CheckedOperator):
    checked = MappingProxyType({"dry_run": FLAG})
    dry_run: bool  # type: ignore[assignment]  # hides a method that only `airflow tasks test --dry-run` calls

    def _told(self, what: str, ensured: "Ensured") -> int | None:
        """Log what was done, or would be; returns the id."""
        done = {"created": ensured.created, "changed": ensured.changed, "archived": ensured.archived}
        would = "would be " if self.dry_run else ""
        told = [f"{would}{verb}: {', '.join(map(repr, names))}" for verb, names in done.items() if names]
        self.log.info("%s %s", what, "; ".join(told) or "kept as it is")
        for disagreement in ensured.disagreements:
            self.log.warning("this disagrees, and would stop a run that is no dry run: %s", disagreement)
        return ensured.id


class DcpCreateServiceOperator(_EnsuringOperator):
    """Ensure that the account has a DCP service, and return its id. An account has at most one: that one is kept.

    :param name: the service's name if it has to be created.
    :param dry_run: change nothing, and tell what would be created; returns the id, None if there is none yet.
    """

    template_fields: Sequence[str] = ("name", "dry_run", "dcp_conn_id")

    def __init__(
        self, *, name: str, dry_run: bool = False, dcp_conn_id: str = DcpHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.dry_run = dry_run
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> int | None:
        """Return the service's id."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            return self._told("service", client.ensure_service(self.name, self.dry_run))


class DcpCreateTableOperator(_EnsuringOperator):
    """Ensure that a service has a table, and return its id. A table that finds its customers otherwise is an error.

    An archived table of the same name does not count beside a live one.

    :param service_id: the service that holds the table.
    :param name: the table's name.
    :param keyfield_locator_type: where the customer id is found on a page: cookie, query parameter, js_variable, uid.
    :param keyfield_locator_name: the name of that cookie, parameter or variable; none for uid.
    :param description: optional; set at creation and not compared afterwards. A `DcpUpdateTableOperator` changes it.
    :param dry_run: change nothing, tell what would be created and what disagrees; returns the id, None if there is
        none yet.
    """

    template_fields: Sequence[str] = (
        "service_id",
        "name",
        "keyfield_locator_type",
        "keyfield_locator_name",
        "description",
        "dry_run",
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
        dry_run: bool = False,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service_id = service_id
        self.name = name
        self.keyfield_locator_type = keyfield_locator_type
        self.keyfield_locator_name = keyfield_locator_name
        self.description = description
        self.dry_run = dry_run
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> int | None:
        """Return the table's id."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            ensured = client.ensure_table(
                id_number("service_id", self.service_id),
                self.name,
                self.keyfield_locator_type,
                self.keyfield_locator_name,
                self.description,
                self.dry_run,
            )
            return self._told("table", ensured)


class DcpUpdateTableOperator(_EnsuringOperator):
    """Ensure that a table has this name and description, and return its id. What is so already is not sent.

    An archived table is an error, and so is a name that another table of the service has.

    :param table_id: the table.
    :param name: its name; None leaves it.
    :param description: its description; None leaves it, an empty text removes it.
    :param dry_run: change nothing, tell what would be changed and what disagrees.
    """

    template_fields: Sequence[str] = ("table_id", "name", "description", "dry_run", "dcp_conn_id")

    def __init__(
        self,
        *,
        table_id: int,
        name: str | None = None,
        description: str | None = None,
        dry_run: bool = False,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.name = name
        self.description = description
        self.dry_run = dry_run
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> int | None:
        """Return the table's id."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            table_id = id_number("table_id", self.table_id)
            return self._told("table", client.update_table(table_id, self.name, self.description, self.dry_run))


class DcpRegisterAttributesOperator(_EnsuringOperator):
    """Ensure that a table has attributes, and return the table's id. One that disagrees is an error, and nothing is
    registered then: the API can change neither datatype nor format.

    The vendor's way to another datatype is to archive the attribute (`DcpArchiveAttributesOperator`) and to register it
    anew: archived ones of another datatype are replaced here.

    :param table_id: the table.
    :param attributes: a list of {"name", "datatype", "format", "description"}, or the path of a JSON file with it; a
        mapping of names to datatypes, such as {"LTV": "long", "born": "datetime yyyy-mm-dd"}; or the path of a
        .parquet or .arrow file, whose columns and types are taken.
    :param dry_run: change nothing, tell what would be registered and what disagrees.
    """

    template_fields: Sequence[str] = ("table_id", "attributes", "dry_run", "dcp_conn_id")

    def __init__(
        self,
        *,
        table_id: int,
        attributes: Attributes,
        dry_run: bool = False,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.attributes = attributes
        self.dry_run = dry_run
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> int | None:
        """Return the table's id."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            wanted = read_attributes(self.attributes)
            return self._told(
                "attributes", client.ensure_attributes(id_number("table_id", self.table_id), wanted, self.dry_run)
            )


class DcpArchiveAttributesOperator(_EnsuringOperator):
    """Ensure that attributes of a table are archived, and return the table's id.

    "Once an attribute is archived, you can no longer update or read Customer Profile data for this attribute" (the
    vendor's reference): audiences see its values no more. What is archived already stays so. Of a name that the table
    does not have nothing is archived, not even the others; some APIs may not list what is archived, see `missing_ok`.

    To have an attribute of another datatype, archive it and register it anew, each night if you like:

    ```python
    DcpArchiveAttributesOperator(task_id="archive", table_id=678, names={"LTV": "double"})
    >> DcpRegisterAttributesOperator(task_id="register", table_id=678, attributes={"LTV": "long"})
    ```

    :param table_id: the table.
    :param names: a list of names; or a mapping of names to datatypes as `DcpRegisterAttributesOperator` takes it, and
        then an attribute that has another datatype by now is left alone.
    :param missing_ok: whether a name that the table does not have counts as archived.
    :param dry_run: change nothing, tell what would be archived and what disagrees.
    """

    template_fields: Sequence[str] = ("table_id", "names", "missing_ok", "dry_run", "dcp_conn_id")
    checked = MappingProxyType({"dry_run": FLAG, "missing_ok": FLAG})

    def __init__(
        self,
        *,
        table_id: int,
        names: Sequence[str] | Mapping[str, str],
        missing_ok: bool = False,
        dry_run: bool = False,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.names = names
        self.missing_ok = missing_ok
        self.dry_run = dry_run
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> int | None:
        """Return the table's id."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            table_id, kinds = id_number("table_id", self.table_id), _kinds(self.names)
            return self._told("attributes", client.archive_attributes(table_id, kinds, self.missing_ok, self.dry_run))


def _kinds(names: Any) -> dict[str, str | None]:
    """The datatype that each attribute must have to be archived, None for any."""
    if isinstance(names, Mapping):
        return {one.name: one.kind for one in read_attributes(names)}
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(one, str) for one in names):
        raise SettingsError(f"names={names!r:.200}: expected a list of names, or a mapping of names to datatypes")
    return dict.fromkeys(names)


class DcpLinkProjectOperator(_EnsuringOperator):
    """Ensure that an experiment project is linked to a service, and return the project's id.

    A project that is linked to another service is an error: its audiences may use that one.

    :param project_id: the project.
    :param service_id: the service whose profiles its experiments shall see.
    :param replace: link it anew if it is linked to another service.
    :param dry_run: change nothing, tell what would be linked and what disagrees.
    """

    template_fields: Sequence[str] = ("project_id", "service_id", "dry_run", "dcp_conn_id")

    def __init__(
        self,
        *,
        project_id: int,
        service_id: int,
        replace: bool = False,
        dry_run: bool = False,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.service_id = service_id
        self.replace = replace
        self.dry_run = dry_run
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> int | None:
        """Return the project's id."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            ids = (id_number("project_id", self.project_id), id_number("service_id", self.service_id))
            return self._told("project", client.link_project(*ids, self.replace, self.dry_run))
