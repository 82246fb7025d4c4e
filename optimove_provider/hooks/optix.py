"""Hook of Opti-X Data Connections."""

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook

from optimove_provider.hooks.connection_fields import read_fields

if TYPE_CHECKING:
    from optimove_provider.clients.http.patience import Retries
    from optimove_provider.clients.optix import OptixClient


class OptixHook(BaseHook):
    """Gives a client of Opti-X Data Connections.

    :param optix_conn_id: a connection of type `optimove_optix`: host (blank for the vendor's), password (x-api-key),
        extra brand_api_key (x-brand-key), requests_per_10s, timeout_seconds, target_alias.
    """

    conn_name_attr = "optix_conn_id"
    default_conn_name = "optix_default"
    conn_type = "optimove_optix"
    hook_name = "Opti-X Data Connections"

    def __init__(self, optix_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.optix_conn_id = optix_conn_id

    def get_conn(self, retries: "Retries | None" = None) -> "OptixClient":
        """The client; use it in a `with` statement. Raises SettingsError, which names all that is missing.

        `retries` says when it gives up; None leaves it to the client.
        """
        from optimove_provider.clients.optix import OptixClient
        from optimove_provider.clients.settings import OptixSettings

        settings = OptixSettings.read(self.optix_conn_id, read_fields(self, self.optix_conn_id))
        return OptixClient(settings, retries=retries)

    def test_connection(self) -> tuple[bool, str]:
        """Reach the host, without a write. No read is documented, so what that does not show is said."""
        from optimove_provider.clients.http.patience import TESTING
        from optimove_provider.contract.wire.errors import OptimoveProviderError
        from optimove_provider.contract.wire.messages import Lost

        try:
            with self.get_conn(TESTING) as client:
                answer = client.reach()
        except OptimoveProviderError as error:
            return False, str(error)
        if isinstance(answer, Lost):
            return False, f"The host was not reached: {answer.reason}"
        if answer.status in (401, 403):
            return False, f"The host answered {answer.status}: x-api-key or x-brand-key is wrong or expired."
        told = (
            f"The host was reached (it answered {answer.status}) and did not refuse the keys. Opti-X documents no "
            "read, so whether the keys may write shows only at the first upload."
        )
        return True, " ".join([told, *client.settings.warnings])
