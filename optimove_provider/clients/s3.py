"""Multipart uploads to S3, over the boto3 client that is given: nothing is visible before an upload is completed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from optimove_provider.contract.wire.errors import S3Refused

LOAD = "optimove-load"
"""The metadata by which a load knows an object as its own."""


class UploadGone(Exception):
    """An upload is not open any more: it was completed, or aborted."""


class NameTaken(Exception):
    """An object of this name exists already."""


@dataclass(frozen=True, slots=True)
class Found:
    """What S3 says of an object: its size in bytes, and the load that put it, if one of ours did."""

    size: int
    load: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket. Every call raises S3Refused when the keys may not do that; boto's other errors pass."""

    s3: Any
    name: str

    def begin(self, key: str, load: str) -> str:
        """Begin an upload; returns its upload id."""
        with self._refusals(key):
            begun = self.s3.create_multipart_upload(
                Bucket=self.name, Key=key, ContentType="text/csv", Metadata={LOAD: load}
            )
        return str(begun["UploadId"])

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        """Upload a part, numbered from 1; returns its ETag. Raises UploadGone."""
        with self._refusals(key):
            answer = self.s3.upload_part(Bucket=self.name, Key=key, UploadId=upload_id, PartNumber=number, Body=body)
        return str(answer["ETag"])

    def complete(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make the object of its parts, all at once. Raises UploadGone, and NameTaken."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        with self._refusals(key):
            self.s3.complete_multipart_upload(
                Bucket=self.name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )

    def abort(self, key: str, upload_id: str) -> None:
        """Throw the parts away. Raises UploadGone."""
        with self._refusals(key):
            self.s3.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)

    def find(self, key: str) -> Found | None:
        """Look for an object."""
        try:
            with self._refusals(key):
                head = self.s3.head_object(Bucket=self.name, Key=key)
        except self.s3.exceptions.ClientError as error:
            if _status(error.response) == 404:
                return None
            raise
        return Found(head["ContentLength"], head["Metadata"].get(LOAD, ""))

    @contextmanager
    def _refusals(self, key: str) -> Iterator[None]:
        try:
            yield
        except self.s3.exceptions.ClientError as error:
            if error.response["Error"].get("Code") == "NoSuchUpload":
                raise UploadGone(key) from error
            status = _status(error.response)
            if status == 412:
                raise NameTaken(key) from error
            if status in (401, 403):
                raise S3Refused(f"s3://{self.name}/{key}: {error}") from None
            raise


def _status(response: Mapping[str, Any]) -> int:
    return int(response["ResponseMetadata"]["HTTPStatusCode"])
