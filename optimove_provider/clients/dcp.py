"""Dynamic Customer Profiles, as typed calls: one line per conversation of `contract`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from optimove_provider.clients.session import Client
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.registered import Registered
from optimove_provider.contract.cells.values import JsonValue
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import edits, ensure, profiles, readback, subject_access
from optimove_provider.contract.dcp.upload_history import Outcome
from optimove_provider.contract.dcp.waiting import MAX_FAILED_POLLS, Ask, wait


class DcpClient(Client[DcpSettings]):
    """Typed calls to DCP. Each raises the errors of `contract.wire.errors`."""

    def list_services(self) -> list[dcp.Service]:
        """All services of the account."""
        return self.run(dcp.list_services())

    def list_tables(self, service_id: int) -> list[dcp.Table]:
        """The tables of a service; `is_optimizely` marks the one that aliases and the consolidated view need."""
        return self.run(dcp.list_tables(service_id))

    def read_table(self, table_id: int) -> dcp.Table:
        """One table, with the AWS keys and the S3 path of its imports."""
        table = self.run(dcp.read_table(table_id))
        self.learn(table.aws_access_key, table.aws_secret_key)
        return table

    def list_attributes(self, table_id: int) -> list[Registered]:
        """The attributes registered for a table, one of each name: a live one, or else an archived one."""
        return self.run(dcp.list_attributes(table_id))

    def read_service(self, service_id: int) -> dcp.Service:
        """One service."""
        return self.run(dcp.read_service(service_id))

    def read_attribute(self, attribute_id: int) -> Registered:
        """One attribute, archived or not."""
        return self.run(dcp.read_attribute(attribute_id))

    def list_projects(self) -> list[dcp.Project]:
        """The projects of the account."""
        return self.run(dcp.list_projects())

    def read_project(self, project_id: int) -> dcp.Project:
        """One project, with the service that it is linked to."""
        return self.run(dcp.read_project(project_id))

    def create_subject_access_request(self, customer_id: str, request_type: str) -> subject_access.SubjectAccessRequest:
        """Ask Optimizely, of all its products, to delete or to export what it has of a customer."""
        return self.run(subject_access.create_subject_access_request(customer_id, request_type))

    def ensure_service(self, name: str, dry_run: bool = False) -> ensure.Ensured:
        """Keep the account's service, or create it."""
        return self.run(ensure.ensure_service(name, dry_run))

    def ensure_table(
        self,
        service_id: int,
        name: str,
        keyfield_locator_type: str,
        keyfield_locator_name: str | None = None,
        description: str | None = None,
        dry_run: bool = False,
        update: bool = False,
    ) -> ensure.Ensured:
        """Keep the service's table of this name, or create it; with `update`, with this description."""
        locator = (keyfield_locator_type, keyfield_locator_name)
        return self.run(ensure.ensure_table(service_id, name, *locator, description, dry_run, update))

    def ensure_attributes(
        self, table_id: int, attributes: Iterable[Attribute], dry_run: bool = False
    ) -> ensure.Ensured:
        """Keep the registered attributes and register the missing ones."""
        return self.run(ensure.ensure_attributes(table_id, attributes, dry_run))

    def archive_attributes(
        self, table_id: int, names: Mapping[str, str | None], dry_run: bool = False, again: bool = False
    ) -> list[int]:
        """Archive attributes by name, of which some may come with their datatype; returns the ids."""
        return self.run(ensure.archive_attributes(table_id, names, dry_run, again))

    def link_project(
        self, project_id: int, service_id: int, replace: bool = False, dry_run: bool = False
    ) -> ensure.Ensured:
        """Link a project to a service."""
        return self.run(ensure.link_project(project_id, service_id, replace, dry_run))

    def rename_service(self, service_id: int, name: str) -> None:
        """Change a service's name."""
        self.run(edits.rename_service(service_id, name))

    def delete_service(self, service_id: int) -> None:
        """Delete a service, which archives all its files. No operator does this."""
        self.run(edits.delete_service(service_id))

    def update_table(self, table_id: int, name: str | None = None, description: str | None = None) -> None:
        """Change a table's name or description; None keeps what is there."""
        self.run(edits.update_table(table_id, name, description))

    def delete_table(self, table_id: int) -> None:
        """Delete a table; what becomes of its profiles is not documented. No operator does this."""
        self.run(edits.delete_table(table_id))

    def describe_attribute(self, attribute_id: int, description: str) -> None:
        """Change an attribute's description."""
        self.run(edits.describe_attribute(attribute_id, description))

    def archive_attribute(self, attribute_id: int) -> None:
        """Archive an attribute: its values are neither read nor written any more."""
        self.run(edits.archive_attribute(attribute_id))

    def read_profile(self, service_id: int, table_id: int, customer_id: str) -> dict[str, Any] | None:
        """One customer's values by attribute name; None for an unknown customer."""
        return self.run(profiles.read_profile(service_id, table_id, customer_id))

    def write_profile(
        self,
        service_id: int,
        table_id: int,
        customer_id: str,
        data: Mapping[str, JsonValue],
        may_send: Callable[[], None] = lambda: None,
    ) -> None:
        """Write some of a customer's values; the others stay. `may_send` is asked before each request."""
        self.run(profiles.write_profile(service_id, table_id, customer_id, data), may_send)

    def read_aliases(self, service_id: int, optimizely_table_id: int, optimizely_user_id: str) -> dict[str, str]:
        """Table id -> customer id in that table, for one Optimizely user id."""
        return self.run(profiles.read_aliases(service_id, optimizely_table_id, optimizely_user_id))

    def create_aliases(
        self, service_id: int, optimizely_table_id: int, optimizely_user_id: str, aliases: Mapping[str, str]
    ) -> None:
        """Say under which customer id each table knows an Optimizely user id."""
        self.run(profiles.create_aliases(service_id, optimizely_table_id, optimizely_user_id, aliases))

    def read_consolidated_view(
        self, service_id: int, optimizely_table_id: int, optimizely_user_id: str
    ) -> list[profiles.Profile]:
        """One profile for each table that knows the Optimizely user id."""
        return self.run(profiles.read_consolidated_view(service_id, optimizely_table_id, optimizely_user_id))

    def upload_outcome(self, table_id: int, s3_keys: Sequence[str], told: set[str] | None = None) -> Outcome:
        """What the upload history says about these files now; `told` is what earlier looks have warned of."""
        return self.run(dcp.upload_outcome(table_id, s3_keys, told))

    def read_back(self, samples: Sequence[readback.Sample]) -> Outcome:
        """What reading the sampled profiles back says about these files now."""
        return self.run(readback.read_back(samples))

    async def wait(
        self,
        ask: Ask,
        poll_seconds: float,
        max_failed_polls: int = MAX_FAILED_POLLS,
        threads: Executor | None = None,
        is_enough: Callable[[Outcome], bool] = lambda outcome: False,
    ) -> Outcome:
        """Ask until every file is imported or one has failed, or less is enough; for a trigger's event loop."""
        return await self.arun(wait(ask, poll_seconds, max_failed_polls, is_enough), threads)
