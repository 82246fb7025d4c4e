"""Operators of Dynamic Customer Profiles. The creating ones ensure: what exists and agrees is kept."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import host_url, id_number
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.kinds import FLAG, GRAIN, MAX_REJECTED, SPAN
from optimove_provider.operators.dcp_import import DcpS3ImportOperator as DcpS3ImportOperator
from optimove_provider.tasks.attributes import Attributes, read_attributes
from optimove_provider.tasks.checked_fields import CheckedOperator
from optimove_provider.tasks.deferral import LoadingOperator, Waiting, begun_report
from optimove_provider.tasks.failures import airflow_failures
from optimove_provider.tasks.sources import open_rows, rejected_marker
from optimove_provider.tasks.staging import staging
from optimove_provider.tasks.telling.operator import TellingOperator
from optimove_provider.tasks.templates import DataOperator
from optimove_provider.tasks.windows.window import WindowedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.contract.cells.datatypes import EpochUnit
    from optimove_provider.contract.dcp.ensure import Ensured


class _EnsuringOperator(CheckedOperator):
    checked = MappingProxyType({"dry_run": FLAG})
    dry_run: bool  # type: ignore[assignment]  # hides a method that only `airflow tasks test --dry-run` calls

    def _told(self, what: str, ensured: "Ensured") -> int | None:
        """Log what was done, or would be; returns the id."""
        created = ", ".join(map(repr, ensured.created))
        made = "would be created" if self.dry_run else "created"
        updated = f"{'would be ' if self.dry_run else ''}updated: {', '.join(ensured.updated)}"
        kept = updated if ensured.updated else "kept as it is"
        self.log.info("%s %s", what, f"{made}: {created}" if created else kept)
        for disagreement in ensured.disagreements:
            self.log.warning("this disagrees, and would stop a run that is no dry run: %s", disagreement)
        return ensured.id


class DcpCreateServiceOperator(_EnsuringOperator):
    """Ensure that the account has a DCP service, and return its id. An account has at most one: that one is kept.

    :param name: the service's name if it has to be created.
    :param dry_run: change nothing, and tell what would be created; returns the id, None if there is none yet.
    :param dcp_conn_id: the connection to DCP.
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

    :param service_id: the service that holds the table.
    :param name: the table's name.
    :param keyfield_locator_type: where the customer id is found on a page: cookie, query parameter, js_variable, uid.
    :param keyfield_locator_name: the name of that cookie, parameter or variable; none for uid.
    :param description: optional; set at creation and not compared afterwards, unless `update`.
    :param update: give a table that is there this description, where it has another. Nothing else is ever changed: what
        becomes of profiles whose table finds its customers otherwise, the vendor does not say.
    :param dry_run: change nothing, tell what would be created and what disagrees; returns the id, None if there is
        none yet.
    :param dcp_conn_id: the connection to DCP.
    """

    checked = MappingProxyType({"dry_run": FLAG, "update": FLAG})

    template_fields: Sequence[str] = (
        "service_id",
        "name",
        "keyfield_locator_type",
        "keyfield_locator_name",
        "description",
        "update",
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
        update: bool = False,
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
        self.update = update
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
                self.update,
            )
            return self._told("table", ensured)


class DcpRegisterAttributesOperator(_EnsuringOperator):
    """Ensure that a table has attributes, and return the table's id. One that disagrees is an error, and nothing is
    registered then: the API can change neither datatype nor format. The vendor's way to do that is to archive the
    attribute, as `DcpArchiveAttributesOperator` does, and to create a replacement; an archived one is no obstacle. One
    that had the same datatype is created anew too, with a warning: take out of `attributes` what is to stay archived.

    :param table_id: the table.
    :param attributes: a list of {"name", "datatype", "format", "description"}, or the path of a JSON file with it; a
        mapping of names to datatypes, such as {"LTV": "long", "born": "datetime yyyy-mm-dd"}; or the path of a
        .parquet or .arrow file, whose columns and types are taken.
    :param dry_run: change nothing, tell what would be registered and what disagrees.
    :param dcp_conn_id: the connection to DCP.
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
    """Ensure that attributes of a table are archived, and return the ids of those that had to be.

    This is the vendor's way to give an attribute another datatype: archive it, then register a replacement. What is
    archived already stays so; a name that the table has not is an error, and nothing is archived then.

    :param table_id: the table.
    :param names: the attributes' names; or, for a DAG that runs again and again, a mapping of names to the datatypes
        that they had, such as {"LTV": "long", "born": "datetime yyyy-mm-dd"}: an attribute of another datatype, which
        is the replacement, stays, and a name that the table does not list is passed over with a warning.
    :param dry_run: change nothing, and return the ids of those that would be archived.
    :param dcp_conn_id: the connection to DCP.
    """

    template_fields: Sequence[str] = ("table_id", "names", "dry_run", "dcp_conn_id")

    def __init__(
        self,
        *,
        table_id: int,
        names: Sequence[str] | Mapping[str, str],
        dry_run: bool = False,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.names = names
        self.dry_run = dry_run
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> list[int]:
        """Return the ids."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            wanted, again = _names(self.names), "ti" in context and context["ti"].try_number > 1
            ids = client.archive_attributes(id_number("table_id", self.table_id), wanted, self.dry_run, again)
        told = ("would be archived" if self.dry_run else "archived") if ids else "none had to be archived"
        self.log.info("attributes %s: %s", ", ".join(map(repr, wanted)), told + (f": {_listed(ids)}" if ids else ""))
        return ids


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))


def _names(names: Any) -> dict[str, str | None]:
    """Names, with the datatype where it is said. Raises SettingsError."""
    if isinstance(names, Mapping) and names:
        return {one.name: one.kind for one in read_attributes(names)}
    listed = isinstance(names, Sequence) and not isinstance(names, str)
    if not listed or not names or not all(isinstance(name, str) and name for name in names):
        raise SettingsError(
            f"names {names!r:.200}: expected a list of attributes' names, or a mapping of names to datatypes"
        )
    return dict.fromkeys(names)


class DcpLinkProjectOperator(_EnsuringOperator):
    """Ensure that an experiment project is linked to a service, and return the project's id.

    A project that is linked to another service is an error: its audiences may use that one.

    :param project_id: the project.
    :param service_id: the service whose profiles its experiments shall see.
    :param replace: link it anew if it is linked to another service.
    :param dry_run: change nothing, tell what would be linked and what disagrees.
    :param dcp_conn_id: the connection to DCP.
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


class DcpWriteProfilesOperator(LoadingOperator, WindowedOperator, DataOperator):
    """Write profiles over REST, one request each: for small sets. More belongs in a file, and a `DcpS3ImportOperator`.

    Values overwrite earlier ones; attributes that a record lacks, or that are null or empty, stay as they are. An
    unknown attribute and a value of another datatype are refused before anything is sent. A profile that the vendor
    refuses is rejected with its words, and the others go on.

    One load at a time works on a table; this one waits for another, deferred, and marks its customers in the table's
    ledger. Profiles that the ledger has newer are left out, as stale. They are as old as the instant at which this task
    took them, or as the end of their window.

    :param table_id: the table.
    :param profiles: at most 5000 mappings with customerId and attributes; or
    :param source: a file with as many rows: a path, or a URL such as s3://conn_id@bucket/key.
    :param epoch_unit: "seconds" as in the vendor's current guide, or "milliseconds" as in its older reference, for
        attributes of format epoch. Nothing is converted: values that look like the other unit are warned of.
    :param strict: where the vendor contradicts itself, and where an epoch looks like the other unit, False warns, True
        refuses.
    :param window: the window that the records stand for, {"start": ..., "end": ...}, if no template names it.
    :param window_grain: to what the window of a run is floored that has neither a data interval nor a partition: a
        part of a day, or whole days; a timedelta or seconds.
    :param window_lookback: how much earlier templates have `{{ window.start }}`, for rows that arrive late: a timedelta
        or seconds. What the rows stand for stays the window.
    :param lock_timeout: how long to wait for another load into the same table, a timedelta or seconds.
    :param max_rejected: how many records may be rejected, or which share of them if it is below 1. It is judged before
        anything is sent, and at the end: then the good ones are written, and the task fails all the same.
    :param dcp_conn_id: the connection to DCP.
    """

    told_mode = "profiles"
    template_fields: Sequence[str] = (
        "table_id",
        "profiles",
        "source",
        "epoch_unit",
        "strict",
        "window",
        "window_grain",
        "window_lookback",
        "lock_timeout",
        "max_rejected",
        "dcp_conn_id",
    )
    row_fields = ("profiles",)
    checked = MappingProxyType(
        {
            "strict": FLAG,
            "max_rejected": MAX_REJECTED,
            "window_grain": GRAIN,
            "window_lookback": SPAN,
            "lock_timeout": SPAN,
        }
    )

    def __init__(
        self,
        *,
        table_id: int,
        profiles: Sequence[Mapping[str, Any]] | None = None,
        source: str | None = None,
        epoch_unit: "EpochUnit" = "seconds",
        strict: bool = False,
        window: Mapping[str, Any] | None = None,
        window_grain: timedelta | float = timedelta(days=1),
        window_lookback: timedelta | float = timedelta(0),
        lock_timeout: timedelta | float = timedelta(hours=1),
        max_rejected: float = 0,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.profiles = profiles
        self.source = source
        self.epoch_unit = epoch_unit
        self.strict = strict
        self.window = window
        self.window_grain = window_grain
        self.window_lookback = window_lookback
        self.lock_timeout = lock_timeout
        self.max_rejected = max_rejected
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account of the load."""
        self.read_rendered()
        return self.take_turn(context, str(self.surroundings.new_id()))

    def load(self, context: "Context", waiting: Waiting) -> dict[str, Any]:
        """One try of the load."""
        from optimove_provider.contract.cells.datatypes import in_unit
        from optimove_provider.contract.dcp.config import service_of, writable
        from optimove_provider.loads.dcp.options import table_ledger
        from optimove_provider.loads.profiles.profiles import ProfileEncoder, write_profiles
        from optimove_provider.loads.profiles.rest_load import RestLoad

        table_id, place = id_number("table_id", self.table_id), self.staging()
        with DcpHook(self.dcp_conn_id).get_conn() as client:
            target = client.settings.target("dcp", table_id)
            report = begun_report(context, place, waiting.load_id, target, "profiles")
            self.tells_of(report, place, client)
            self.note_missed_points(report)
            table = writable(client.read_table(table_id))
            report.service_id = service_of(table)
            attributes = in_unit(client.list_attributes(table_id), self.epoch_unit)
            self.tells_of(report, place, client, attributes)
            ledger = table_ledger(place, report)
            now = ledger.now if ledger else self.surroundings.now()  # before the records are read
            encoder, records = ProfileEncoder.to(attributes, self.strict), self._records()
            marker = rejected_marker(self.source)
            generation = marker.generation if marker else self.generation(self.window)
            report.generation = generation.isoformat() if generation else ""
            taken = marker.opened if marker else self._taken(waiting)
            load = RestLoad(place, report, self.max_rejected, taken, generation, now)
            write_profiles(client, table, records, encoder, load)
        return report.result(place)

    def _taken(self, waiting: Waiting) -> datetime | None:
        """When the records are taken, None for now: a list was there before a wait for the table, a file is read after
        it."""
        was_there = self.source is None and waiting.times > 0
        return datetime.fromtimestamp(waiting.since, UTC) if was_there else None

    def _records(self) -> "Sequence[Mapping[str, Any]]":
        from optimove_provider.loads.profiles.rest_load import records_of

        if (self.profiles is None) == (self.source is None):
            raise SettingsError("give either profiles= or source=, not both and not neither")
        if self.profiles is not None:
            return self.profiles
        with open_rows(self.source, None, None) as batches:
            return records_of(batches)


class DcpCreateAliasesOperator(TellingOperator, CheckedOperator, DataOperator):
    """Create aliases over REST: under which customer id each table knows an Optimizely user id.

    Usually the snippet creates them, when a visitor has the table's cookie, parameter or variable.

    :param service_id: the service. Its Optimizely table, to which the user ids belong, is looked up.
    :param aliases: at most 5000 mappings, one a user:
        {"optimizely_user_id": ..., "aliases": [{"table_id": ..., "customer_id": ...}, ...]}.
    :param max_rejected: how many of them may be rejected, or which share if it is below 1.
    :param dcp_conn_id: the connection to DCP.
    """

    told_mode = "aliases"
    template_fields: Sequence[str] = ("service_id", "aliases", "max_rejected", "dcp_conn_id")
    row_fields = ("aliases",)
    checked = MappingProxyType({"max_rejected": MAX_REJECTED})

    def __init__(
        self,
        *,
        service_id: int,
        aliases: Sequence[Mapping[str, Any]],
        max_rejected: float = 0,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service_id = service_id
        self.aliases = aliases
        self.max_rejected = max_rejected
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the account of the load."""
        from optimove_provider.loads.profiles.profiles import create_aliases
        from optimove_provider.loads.profiles.rest_load import RestLoad

        self.read_rendered()
        load_id, hook = str(self.surroundings.new_id()), DcpHook(self.dcp_conn_id)
        with self.telling(context, load_id), airflow_failures(), hook.get_conn() as client:
            service_id, place = id_number("service_id", self.service_id), staging()
            target = {"dcp": service_id, "host": host_url(client.settings.profile_host)}
            report = begun_report(context, place, load_id, target, "aliases")
            self.tells_of(report, place, client)
            create_aliases(client, service_id, self.aliases, RestLoad(place, report, self.max_rejected))
        return report.result(place)
