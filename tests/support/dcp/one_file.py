"""A full import of one small file, with either of the two requests that make it visible."""

from datetime import UTC, datetime

import pytest

from tests.support.dcp_imports import full
from tests.support.s3_target import Target

ROWS = b"customerId,ltv\n1,2.5\n2,1\n"
NIGHT = datetime(2026, 1, 31, tzinfo=UTC)
ASK = {"multipart": "CompleteMultipartUpload", "put": "PutObject"}
BOTH = pytest.mark.parametrize("method", ASK)
TWICE = "may have been imported twice"


def of(target, method):
    """The same load, whose files go up in one way."""
    return Target(target.s3, target.folder, method=method)


def import_full(target, try_number=1):
    """Import the file under the table's lease."""
    return full(target, ROWS, try_number, NIGHT)


def versions(target):
    """How often each key was put."""
    found = target.s3.list_object_versions(Bucket=target.to.bucket.name, Prefix=target.s3_path).get("Versions", [])
    return [one["Key"] for one in found]


def take_away(target):
    """What a vendor may do with a file that it has imported."""
    target.s3.delete_object(Bucket=target.to.bucket.name, Key=target.to.key(1))
