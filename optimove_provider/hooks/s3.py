"""The S3 client for imports, from the amazon provider's S3Hook. Imported only where an import runs: it is heavy."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection, mask_secret

from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.dcp.config import own_keys
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
        config = self._named_keys() if self.aws_conn_id else self._own_keys()
        if self._endpoint_url:
            config.endpoint_url = self._endpoint_url
        return config

    def _named_keys(self) -> AwsConnectionWrapper:
        try:
            self.get_connection(str(self.aws_conn_id))
        except AirflowNotFoundException:
            # Airflow's hook goes on with a login of the machine's then, if it finds one.
            raise SettingsError(
                f"aws_conn_id {self.aws_conn_id!r}: there is no such connection, and nothing is signed with a login "
                "that this machine may have. Mend aws_conn_id, or leave it empty for the table's own keys"
            ) from None
        return super().conn_config

    def _own_keys(self) -> AwsConnectionWrapper:
        login, password = own_keys(self._table)
        own = Connection(conn_id=f"keys_of_dcp_table_{self._table.id}", conn_type="aws", login=login, password=password)
        return AwsConnectionWrapper(conn=own, region_name=self._region_name)


def import_client(settings: "DcpSettings", table: "Table") -> Any:
    """A boto3 S3 client that may write under the table's `s3_path`. Raises SettingsError where none can be made."""
    return import_bucket(settings, table).s3


def import_bucket(settings: "DcpSettings", table: "Table") -> Bucket:
    """The import bucket, which shows none of the keys in what it says."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    own = (table.aws_access_key, table.aws_secret_key)
    for key in own:
        mask_secret(key)
    hook = ImportBucketHook(settings, table)
    try:
        client, used = hook.get_conn(), hook.get_credentials() if settings.aws_conn_id else None
        once = hook.get_client_type(config=hook.config.merge(Config(retries={"total_max_attempts": 1})))
    except (BotoCoreError, ClientError, ValueError) as error:  # ClientError: of who is asked for a role's keys
        fields = "region, s3_endpoint_url and aws_conn_id"
        raise SettingsError(
            f"connection {settings.conn_id!r}: no S3 client can be made ({settings.redact(str(error))}); check {fields}"
        ) from None
    named = (used.access_key, used.secret_key, used.token) if used else ()
    secrets = (*settings.struck_out, *filter(None, (*own, *named)))
    return Bucket(client, settings.import_bucket, secrets, once=once)
