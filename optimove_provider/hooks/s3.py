"""The S3 client for imports, from the amazon provider's S3Hook. Imported only where an import runs: it is heavy."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.providers.common.compat.sdk import Connection, mask_secret

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
        mask_secret(self._table.aws_secret_key)
        keys = Connection(
            conn_id=f"keys_of_dcp_table_{self._table.id}",
            conn_type="aws",
            login=self._table.aws_access_key,
            password=self._table.aws_secret_key,
        )
        return AwsConnectionWrapper(conn=keys, region_name=self._region_name)


def import_client(settings: "DcpSettings", table: "Table") -> Any:
    """A boto3 S3 client that may write under the table's `s3_path`."""
    return ImportBucketHook(settings, table).get_conn()
