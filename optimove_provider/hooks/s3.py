"""The S3 client for imports, from the amazon provider's S3Hook. Imported only where an import runs: it is heavy."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.providers.common.compat.sdk import Connection, mask_secret

from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.wire.errors import SettingsError

if TYPE_CHECKING:
    from optimove_provider.clients.settings import DcpSettings
    from optimove_provider.contract.dcp.config import Table


class ImportBucketHook(S3Hook):
    """S3Hook that signs with the table's own keys, unless the DCP connection names an `aws_conn_id`."""

    def __init__(self, settings: "DcpSettings", table: "Table") -> None:
        super().__init__(aws_conn_id=settings.aws_conn_id or None, region_name=settings.region)
        self._table, self._endpoint_url = table, settings.s3_endpoint_url

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """Keys from where the connection says, endpoint from the DCP connection if it names one."""
        config = super().conn_config if self.aws_conn_id else self._own_keys()
        if self._endpoint_url:
            config.endpoint_url = self._endpoint_url
        return config

    def _own_keys(self) -> AwsConnectionWrapper:
        if not (self._table.aws_access_key and self._table.aws_secret_key):
            # boto would look for a login of the machine's then.
            raise SettingsError(
                f"table {self._table.id} has no AWS keys of its own: name a connection that may write under "
                f"{self._table.s3_path!r} in aws_conn_id"
            )
        keys = Connection(
            conn_id=f"keys_of_dcp_table_{self._table.id}",
            conn_type="aws",
            login=self._table.aws_access_key,
            password=self._table.aws_secret_key,
        )
        return AwsConnectionWrapper(conn=keys, region_name=self._region_name)


def import_client(settings: "DcpSettings", table: "Table") -> Any:
    """A boto3 S3 client that may write under the table's `s3_path`. Raises SettingsError where none can be made."""
    return _hook(settings, table)[0]


def import_bucket(settings: "DcpSettings", table: "Table") -> Bucket:
    """The import bucket, which shows none of the keys in what it says."""
    client, keys = _hook(settings, table)
    return Bucket(client, settings.import_bucket, (*settings.struck_out, *keys))


def _hook(settings: "DcpSettings", table: "Table") -> tuple[Any, tuple[str, ...]]:
    """A client, and the keys that it uses."""
    from botocore.exceptions import BotoCoreError

    for key in (table.aws_access_key, table.aws_secret_key):
        mask_secret(key)
    hook = ImportBucketHook(settings, table)
    try:
        client, used = hook.get_conn(), hook.get_credentials() if settings.aws_conn_id else None
    except (BotoCoreError, ValueError) as error:
        fields = "region, s3_endpoint_url and aws_conn_id"
        raise SettingsError(
            f"connection {settings.conn_id!r}: no S3 client can be made ({settings.redact(str(error))}); check {fields}"
        ) from None
    own = (table.aws_access_key, table.aws_secret_key)
    return client, (*own, *filter(None, (used.access_key, used.secret_key, used.token) if used else ()))
