"""Dynamic Customer Profiles, as typed calls: one line per conversation of `contract.dcp`."""

from collections.abc import Iterable, Sequence

from optimove_provider.clients.session import Client
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract import dcp
from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.uploads import Outcome


class DcpClient(Client[DcpSettings]):
    """Typed calls to DCP. Each raises the errors of `contract.errors`."""

    def list_services(self) -> list[dcp.Service]:
        """All services of the account."""
        return self.run(dcp.list_services())

    def read_table(self, table_id: int) -> dcp.Table:
        """One table, with the AWS keys and the S3 path of its imports."""
        return self.run(dcp.read_table(table_id))

    def list_attributes(self, table_id: int) -> list[Attribute]:
        """The attributes registered for a table."""
        return self.run(dcp.list_attributes(table_id))

    def ensure_service(self, name: str) -> dcp.Ensured:
        """Keep the account's service, or create it."""
        return self.run(dcp.ensure_service(name))

    def ensure_table(
        self,
        service_id: int,
        name: str,
        keyfield_locator_type: str,
        keyfield_locator_name: str | None = None,
        description: str | None = None,
    ) -> dcp.Ensured:
        """Keep the service's table of this name, or create it."""
        return self.run(dcp.ensure_table(service_id, name, keyfield_locator_type, keyfield_locator_name, description))

    def ensure_attributes(self, table_id: int, attributes: Iterable[Attribute]) -> dcp.Ensured:
        """Keep the registered attributes and register the missing ones."""
        return self.run(dcp.ensure_attributes(table_id, attributes))

    def upload_outcome(self, table_id: int, s3_keys: Sequence[str]) -> Outcome:
        """What the upload history says about these files now."""
        return self.run(dcp.upload_outcome(table_id, s3_keys))

    async def wait_for_uploads(self, table_id: int, s3_keys: Sequence[str], poll_seconds: float) -> Outcome:
        """Ask until every file is imported or one has failed; for a trigger's event loop."""
        return await self.arun(dcp.wait_for_uploads(table_id, s3_keys, poll_seconds))
