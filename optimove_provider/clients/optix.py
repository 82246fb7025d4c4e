"""Opti-X Data Connections, as typed calls: one line per conversation of `contract.optix.data_connections`."""

from optimove_provider.clients.session import Client
from optimove_provider.clients.settings import OptixSettings
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Answer


class OptixClient(Client[OptixSettings]):
    """Typed calls to Opti-X. Each raises the errors of `contract.wire.errors`."""

    def create_connection(self, name: str, primary_key: str, description: str | None = None) -> str:
        """Create a data connection; returns its `data_connection_uuid`. Never sent twice."""
        return self.run(optix.create_connection(name, primary_key, description))

    def upload_data(
        self,
        data_connection_uuid: str,
        records: optix.Records,
        *,
        batch_uuid: str,
        batch_completed: bool,
        ttl_seconds: int | None = None,
    ) -> None:
        """Send one slice of a batch. Each record replaces the stored one whole."""
        self.run(
            optix.upload_data(
                data_connection_uuid,
                records,
                batch_uuid=batch_uuid,
                batch_completed=batch_completed,
                ttl_seconds=ttl_seconds,
            )
        )

    def update_data(self, data_connection_uuid: str, items: optix.Items) -> None:
        """Overwrite records by key. Each item replaces the stored record whole."""
        self.run(optix.update_data(data_connection_uuid, items))

    def reach(self) -> Answer:
        """Whatever the host answers to a GET that changes nothing."""
        return self.run(optix.reach())
