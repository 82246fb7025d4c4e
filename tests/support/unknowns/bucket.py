"""The import bucket of a world without sockets, which refuses whatever the emulator's S3 refuses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ReadTimeoutError

from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.dcp.config import IMPORT_BUCKET, S3_REGION, Table, own_keys
from optimove_provider.emulator import MemoryObjects, State, StoredObject
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.s3_access import S3Access
from optimove_provider.emulator.signature import Signed
from tests.support.crash.memory_s3 import MemoryS3

_REQUESTS = {
    "create_multipart_upload": ("POST", "uploads="),
    "upload_part": ("PUT", "partNumber={PartNumber}&uploadId={UploadId}"),
    "complete_multipart_upload": ("POST", "uploadId={UploadId}"),
    "list_parts": ("GET", "uploadId={UploadId}"),
    "abort_multipart_upload": ("DELETE", "uploadId={UploadId}"),
    "put_object": ("PUT", ""),
    "head_object": ("HEAD", ""),
    "get_object": ("GET", ""),
}
_MAKING = ("complete_multipart_upload", "put_object")


class Objects(MemoryObjects):
    """What the importer sees of the bucket: each object as often as it was put."""

    def __init__(self) -> None:
        super().__init__()
        self.s3 = MemoryS3()

    def take_away(self, found: StoredObject, moved: str | None) -> None:
        """As ObjectStore says."""
        super().take_away(found, moved)
        there = self.s3.objects.pop(found.key)
        if moved:
            self.s3.objects[moved] = there


@dataclass
class ImportBucket:
    """The bucket of an emulator's `state`. `lost` are the numbers of the objects of which the answer to the request
    that makes them is lost, once it was carried out."""

    state: State
    lost: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.objects = self.state.objects = Objects()
        self.access = S3Access(self.state, self._upload_bytes)
        self._made = 0

    def of(self, table: Table) -> Bucket:
        """As an import opens it for a table: signed with the table's own keys. Raises SettingsError without any."""
        return Bucket(_Signing(self, Credentials(*own_keys(table))), IMPORT_BUCKET)

    def call(self, keys: Credentials, called: str, how: dict[str, Any]) -> Any:
        """One request, signed with some keys."""
        asked = _signed(keys, called, how)
        if asked.method in ("GET", "HEAD"):  # as the emulator's server does
            advance(self.state)
        if refused := self.access.why_refused(asked):
            code = str(refused.status) if asked.method == "HEAD" else refused.code
            told = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": refused.status}}
            raise ClientError(told, called)  # type: ignore[arg-type]
        answer = getattr(self.objects.s3, called)(**how)
        if called in _MAKING:
            self._put(how["Key"])
        return answer

    def _put(self, key: str) -> None:
        self.objects.put(key, self.objects.s3.objects[key][0])
        self._made += 1
        if self._made in self.lost:
            raise ReadTimeoutError(endpoint_url="s3")

    def _upload_bytes(self, upload_id: str) -> int | None:
        found = self.objects.s3.uploads.get(upload_id)
        return sum(map(len, found[2].values())) if found else None


@dataclass(frozen=True)
class _Signing:
    """In place of boto's client."""

    bucket: ImportBucket
    keys: Credentials
    exceptions = MemoryS3.exceptions

    def __getattr__(self, called: str) -> Callable[..., Any]:
        if called not in _REQUESTS:
            raise AttributeError(called)
        return lambda **how: self.bucket.call(self.keys, called, how)


def _signed(keys: Credentials, called: str, how: dict[str, Any]) -> Signed:
    method, query = _REQUESTS[called]
    target = f"/{IMPORT_BUCKET}/{quote(how['Key'])}" + (f"?{query.format(**how)}" if query else "")
    size = how["ContentLength"] if "ContentLength" in how else len(how.get("Body", b""))
    headers = {"host": "s3", "content-length": str(size)}
    headers |= {"if-none-match": how["IfNoneMatch"]} if "IfNoneMatch" in how else {}
    request = AWSRequest(method=method, url=f"http://s3{target}", headers=headers)
    S3SigV4Auth(keys, "s3", S3_REGION).add_auth(request)
    return Signed(method, target, {name.lower(): value for name, value in request.headers.items()})
