"""What an import asks of S3, in memory: a client without a socket, which `deepcopy` makes a second world of.

`tests/loads/crash/test_dcp_every_step.py` asks it and an S3 server the same.
"""

import hashlib
import io
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from optimove_provider.emulator.model.switches import S3Permissions
from optimove_provider.emulator.s3_access import Operation, why_not_permitted


def _error(code: str, status: int, operation: str) -> ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)  # type: ignore[arg-type]


@dataclass
class MemoryS3:
    """Objects, and uploads that are open, of all buckets. `permissions` are those of the emulator's switch."""

    permissions: S3Permissions = "all"
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = field(default_factory=dict)
    begun: int = 0
    made: list[str] = field(default_factory=list)
    """The keys of all objects that ever became visible."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def create_multipart_upload(self, Key: str, Metadata: dict[str, str], **_: Any) -> Any:
        self._permit("create", "CreateMultipartUpload")
        self.begun += 1
        self.uploads[f"upload-{self.begun}"] = (Key, Metadata, {})
        return {"UploadId": f"upload-{self.begun}"}

    def upload_part(self, Key: str, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> Any:
        self._permit("part", "UploadPart")
        self._open(Key, UploadId, "UploadPart")[2][PartNumber] = Body
        return {"ETag": _etag(Body)}

    def complete_multipart_upload(
        self, Key: str, UploadId: str, MultipartUpload: Any, IfNoneMatch: str = "", **_: Any
    ) -> Any:
        self._permit("complete", "CompleteMultipartUpload", IfNoneMatch)
        _, metadata, parts = self._open(Key, UploadId, "CompleteMultipartUpload")
        self._may_be_taken(Key, IfNoneMatch, "CompleteMultipartUpload")
        wanted = MultipartUpload["Parts"]
        assert [_etag(parts[one["PartNumber"]]) for one in wanted] == [one["ETag"] for one in wanted]
        body = b"".join(parts[one["PartNumber"]] for one in wanted)
        self._make(Key, body, metadata)
        del self.uploads[UploadId]
        return {"ETag": _etag(body)}

    def put_object(self, Key: str, Body: Any, Metadata: dict[str, str], IfNoneMatch: str = "", **_: Any) -> Any:
        self._permit("put", "PutObject", IfNoneMatch)
        self._may_be_taken(Key, IfNoneMatch, "PutObject")
        body = Body.read()
        self._make(Key, body, Metadata)
        return {"ETag": _etag(body)}

    def list_parts(self, Key: str, UploadId: str, **_: Any) -> Any:
        self._permit("list_parts", "ListParts")
        self._open(Key, UploadId, "ListParts")
        return {"UploadId": UploadId}

    def abort_multipart_upload(self, Key: str, UploadId: str, **_: Any) -> Any:
        self._permit("abort", "AbortMultipartUpload")
        self._open(Key, UploadId, "AbortMultipartUpload")
        del self.uploads[UploadId]

    def head_object(self, Key: str, **_: Any) -> Any:
        self._permit("head", "HeadObject")
        return self._found(Key, "404", "HeadObject")

    def get_object(self, Key: str, **_: Any) -> Any:
        self._permit("get", "GetObject")
        return {**self._found(Key, "NoSuchKey", "GetObject"), "Body": io.BytesIO(self.objects[Key][0])}

    def list_multipart_uploads(self, **_: Any) -> Any:
        return {"Uploads": [{"Key": key} for key, _, _ in self.uploads.values()]}

    def _make(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        self.objects[key] = body, metadata
        self.made.append(key)

    def _found(self, key: str, code: str, operation: str) -> Any:
        if key not in self.objects:
            raise _error(code, 404, operation)
        body, metadata = self.objects[key]
        return {"ContentLength": len(body), "Metadata": metadata, "ETag": _etag(body)}

    def _permit(self, operation: Operation, called: str, condition: str = "") -> None:
        if refused := why_not_permitted(self.permissions, operation, bool(condition)):
            raise _error(str(refused.status) if operation == "head" else refused.code, refused.status, called)

    def _may_be_taken(self, key: str, condition: str, operation: str) -> None:
        if condition and key in self.objects:
            raise _error("PreconditionFailed", 412, operation)

    def _open(self, key: str, upload_id: str, operation: str) -> tuple[str, dict[str, str], dict[int, bytes]]:
        found = self.uploads.get(upload_id)
        if not found or found[0] != key:
            raise _error("NoSuchUpload", 404, operation)
        return found


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
