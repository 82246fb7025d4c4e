"""What an import asks of S3, in memory: a client without a socket, which `deepcopy` makes a second world of.

`tests/loads/crash/test_dcp_every_step.py` asks it and an S3 server the same.
"""

import hashlib
import io
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


def _error(code: str, status: int, operation: str) -> ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)  # type: ignore[arg-type]


@dataclass
class MemoryS3:
    """Objects, and uploads that are open, of all buckets."""

    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = field(default_factory=dict)
    begun: int = 0

    exceptions = SimpleNamespace(ClientError=ClientError)

    def create_multipart_upload(self, Key: str, Metadata: dict[str, str], **_: Any) -> Any:
        self.begun += 1
        self.uploads[f"upload-{self.begun}"] = (Key, Metadata, {})
        return {"UploadId": f"upload-{self.begun}"}

    def upload_part(self, Key: str, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> Any:
        self._open(Key, UploadId, "UploadPart")[2][PartNumber] = Body
        return {"ETag": _etag(Body)}

    def complete_multipart_upload(
        self, Key: str, UploadId: str, MultipartUpload: Any, IfNoneMatch: str, **_: Any
    ) -> Any:
        _, metadata, parts = self._open(Key, UploadId, "CompleteMultipartUpload")
        if Key in self.objects:
            raise _error("PreconditionFailed", 412, "CompleteMultipartUpload")
        wanted = MultipartUpload["Parts"]
        assert [_etag(parts[one["PartNumber"]]) for one in wanted] == [one["ETag"] for one in wanted]
        self.objects[Key] = b"".join(parts[one["PartNumber"]] for one in wanted), metadata
        del self.uploads[UploadId]

    def abort_multipart_upload(self, Key: str, UploadId: str, **_: Any) -> Any:
        self._open(Key, UploadId, "AbortMultipartUpload")
        del self.uploads[UploadId]

    def head_object(self, Key: str, **_: Any) -> Any:
        if Key not in self.objects:
            raise _error("404", 404, "HeadObject")
        body, metadata = self.objects[Key]
        return {"ContentLength": len(body), "Metadata": metadata}

    def get_object(self, Key: str, **_: Any) -> Any:
        return {"Body": io.BytesIO(self.objects[Key][0])}

    def list_multipart_uploads(self, **_: Any) -> Any:
        return {"Uploads": [{"Key": key} for key, _, _ in self.uploads.values()]}

    def _open(self, key: str, upload_id: str, operation: str) -> tuple[str, dict[str, str], dict[int, bytes]]:
        found = self.uploads.get(upload_id)
        if not found or found[0] != key:
            raise _error("NoSuchUpload", 404, operation)
        return found


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
