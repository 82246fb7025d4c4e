"""Uploads to S3, over the boto3 client that is given."""

import logging
import time
from typing import Any, BinaryIO

from optimove_provider.contract.errors import S3Refused

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0


def upload(client: Any, stream: BinaryIO, bucket: str, key: str, size: int) -> None:
    """Upload a stream of `size` bytes as one object, in parts when it is large: visible whole, or not at all.

    Raises S3Refused when the keys may not write there; boto's other errors pass.
    """
    sent, told = 0, time.monotonic()

    def progress(count: int) -> None:
        nonlocal sent, told
        sent += count
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("%d of %d bytes uploaded (%.0f %%)", sent, size, 100 * sent / max(size, 1))

    try:
        client.upload_fileobj(stream, bucket, key, ExtraArgs={"ContentType": "text/csv"}, Callback=progress)
    except client.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403):
            raise S3Refused(f"s3://{bucket}/{key}: {error}") from None
        raise
    log.info("uploaded s3://%s/%s, %d bytes", bucket, key, size)
