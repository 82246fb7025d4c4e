"""What is known of uploaded files, for a sensor that reads profiles back."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from optimove_provider.tasks.staging import staging

if TYPE_CHECKING:
    from optimove_provider.clients.dcp import DcpClient
    from optimove_provider.contract.dcp.readback import Sample


def samples_of(client: "DcpClient", table_id: int, s3_keys: Iterable[str]) -> "list[Sample]":
    """The sample of each file. One that no import of ours remembered is sampled from the object, and remembered.

    Raises DataError if the object cannot be sampled, and what reading the table and the profiles raises.
    """
    from optimove_provider.loads.dcp.readback_samples import recall

    return [recall(staging(), s3_key) or _sampled_now(client, table_id, s3_key) for s3_key in dict.fromkeys(s3_keys)]


def _sampled_now(client: "DcpClient", table_id: int, s3_key: str) -> "Sample":
    from optimove_provider.hooks.s3 import import_client
    from optimove_provider.loads.dcp.readback_samples import first_rows, recall, remember

    table = client.read_table(table_id)
    rows = first_rows(import_client(client.settings, table), client.settings.import_bucket, s3_key)
    remember(staging(), client, table, client.list_attributes(table_id), s3_key, rows)
    sample = recall(staging(), s3_key)
    if sample is None:
        raise RuntimeError(f"{s3_key} was remembered and is not there")
    return sample
