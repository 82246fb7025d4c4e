"""What became of uploaded files, for operators and sensors: the import bucket is read with Airflow's S3 hook."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimove_provider.clients.dcp import DcpClient
    from optimove_provider.clients.s3 import Bucket
    from optimove_provider.contract.dcp.config import Table
    from optimove_provider.loads.evidence.upload_history import UploadHistory
    from optimove_provider.loads.state.staging import Staging


def upload_history(
    client: "DcpClient", table_id: int, place: "Staging", told: set[str] | None = None
) -> "UploadHistory":
    """How it is found out what became of a table's files. `told` is what earlier looks of the same wait warned of."""
    from optimove_provider.loads.evidence.upload_history import UploadHistory

    def open_bucket(table: "Table") -> "Bucket":
        from optimove_provider.hooks.s3 import import_bucket

        return import_bucket(client.settings, table)

    return UploadHistory(client, table_id, place, open_bucket, set() if told is None else told)
