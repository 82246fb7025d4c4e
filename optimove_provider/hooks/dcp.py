"""Hook of Dynamic Customer Profiles."""

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from optimove_provider.hooks.connection_fields import aread_fields, read_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from optimove_provider.clients.dcp import DcpClient
    from optimove_provider.clients.http.drive import Send
    from optimove_provider.clients.http.patience import Retries


class DcpHook(BaseHook):
    """Gives a client of Dynamic Customer Profiles.

    :param dcp_conn_id: a connection of type `optimizely_dcp`: host (blank for the vendor's), password (a token), extras
        auth_scheme (Token or Bearer), profile_host, import_bucket, s3_endpoint_url, region, aws_conn_id, upload_method,
        upload_history_url, upload_history_token, requests_per_10s, timeout_seconds, target_alias.
    """

    conn_name_attr = "dcp_conn_id"
    default_conn_name = "dcp_default"
    conn_type = "optimizely_dcp"
    hook_name = "Dynamic Customer Profiles"

    def __init__(self, dcp_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.dcp_conn_id = dcp_conn_id

    def get_conn(self, retries: "Retries | None" = None) -> "DcpClient":
        """The client; use it in a `with` statement. Raises SettingsError, which names all that is missing.

        `retries` says when it gives up; None leaves it to the client.
        """
        client = self._client(read_fields(self, self.dcp_conn_id), retries)
        # Airflow masks fields by their names, and the name of upload_history_url tells of no secret.
        mask_secret(list(client.settings.secrets))
        return client

    async def aget_conn(
        self, retries: "Retries | None" = None, send_within: "Callable[[float], Send] | None" = None
    ) -> "DcpClient":
        """The same from an event loop. `send_within` so many seconds gives what sends, if others send with it, too."""
        return self._client(await aread_fields(self, self.dcp_conn_id), retries, send_within)

    def test_connection(self) -> tuple[bool, str]:
        """List the account's services."""
        from optimove_provider.clients.http.patience import TESTING
        from optimove_provider.contract.wire.errors import OptimoveProviderError
        from optimove_provider.contract.wire.outside import MAX_TEXT, cut

        try:
            with self.get_conn(TESTING) as client:
                services = client.list_services()
        except OptimoveProviderError as error:
            return False, str(error)
        names = ", ".join(f"{service.name!r} ({service.id})" for service in services) or "none yet"
        told = f"The token is accepted. DCP services: {cut(client.settings.redact(names), MAX_TEXT)}."
        return True, " ".join([told, *client.settings.warnings])

    def _client(
        self,
        fields: dict[str, Any],
        retries: "Retries | None" = None,
        send_within: "Callable[[float], Send] | None" = None,
    ) -> "DcpClient":
        from optimove_provider.clients.dcp import DcpClient
        from optimove_provider.clients.settings import DcpSettings

        settings = DcpSettings.read(self.dcp_conn_id, fields)
        return DcpClient(settings, send_within and send_within(settings.timeout_seconds), retries)
