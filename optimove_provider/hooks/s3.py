"""The S3 client for imports, from the amazon provider's S3Hook. Imported only where an import runs: it is heavy."""

import logging
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

log = logging.getLogger(__name__)


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
        config = super().conn_config
        self._check_whole(config)
        return config

    def _check_whole(self, config: AwsConnectionWrapper) -> None:
        """Raise SettingsError for one key of the two: boto would take a login of the machine's instead."""
        half = (config.login, config.password, *map(config.extra_config.get, _KEYS))
        if any(half) and not (config.aws_access_key_id and config.aws_secret_access_key):
            raise SettingsError(
                f"aws_conn_id {self.aws_conn_id!r}: the connection has one key of the two, and nothing is signed "
                "with a login that this machine may have instead. Enter both the access key and the secret key"
            )

    def credentials(self) -> Any:
        """What signs where the DCP connection names an `aws_conn_id`; says so if that leaves it to the worker, which is
        Airflow's way to ask for the worker's own login. Raises SettingsError where there is none."""
        found, config = self.get_session().get_credentials(), self.conn_config
        if found is None:
            raise SettingsError(
                f"aws_conn_id {self.aws_conn_id!r}: the connection names no keys, and this worker has no login of its "
                "own. Enter keys, a role or a profile"
            )
        if not (config.aws_access_key_id or config.role_arn or config.profile_name):
            log.warning(
                "aws_conn_id %r names neither keys nor a role nor a profile: files are signed with the worker's own "
                "login (%s)",
                self.aws_conn_id,
                found.method,
            )
        return found.get_frozen_credentials()

    def _own_keys(self) -> AwsConnectionWrapper:
        login, password = own_keys(self._table)
        own = Connection(conn_id=f"keys_of_dcp_table_{self._table.id}", conn_type="aws", login=login, password=password)
        return AwsConnectionWrapper(conn=own, region_name=self._region_name)


_KEYS = ("aws_access_key_id", "aws_secret_access_key")


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
        used, client = hook.credentials() if settings.aws_conn_id else None, hook.get_conn()
        once = hook.get_client_type(config=hook.config.merge(Config(retries={"total_max_attempts": 1})))
    except (BotoCoreError, ClientError, ValueError) as error:  # ClientError: of who is asked for a role's keys
        fields = "region, s3_endpoint_url and aws_conn_id"
        raise SettingsError(
            f"connection {settings.conn_id!r}: no S3 client can be made ({settings.redact(str(error))}); check {fields}"
        ) from None
    named = (used.access_key, used.secret_key, used.token) if used else ()
    secrets = (*settings.struck_out, *filter(None, (*own, *named)))
    return Bucket(client, settings.import_bucket, secrets, once=once)
