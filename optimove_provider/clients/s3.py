"""Multipart uploads to S3, over the boto3 client that is given: nothing is visible before an upload is completed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from optimove_provider.contract.wire.errors import OptimoveProviderError, S3Refused, S3Trouble
from optimove_provider.contract.wire.outside import MAX_TEXT, redact
from optimove_provider.contract.wire.shown import shown
from optimove_provider.surroundings import REAL

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


_THE_CLOCK = (
    "the clock of this machine differs from S3's by more than it bears (15 minutes), whatever the keys: set the clock, "
    "and the next try goes on"
)
_THE_KEYS = "the keys may not do this: check what the table's own ones, or those of aws_conn_id, are allowed"
_THE_REGION = "the bucket is in another region: check import_bucket, region and s3_endpoint_url of the connection"
_EXPIRED = "the temporary keys have expired: the next try takes new ones; check aws_conn_id if it does not help"
_FINAL: Mapping[str, str] = {
    "AccessDenied": _THE_KEYS,
    "AllAccessDisabled": _THE_KEYS,
    "AccountProblem": "the bucket's owner has a problem with the account: ask AWS's support, who alone can mend it",
    "InvalidAccessKeyId": "AWS does not know the access key: it was revoked, or mistyped: check aws_conn_id",
    "InvalidToken": "the session token of aws_conn_id is none: enter new temporary keys",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key: check aws_conn_id, and proxies",
    "NoSuchBucket": "there is no such bucket: check import_bucket of the connection",
    "InvalidBucketName": "no bucket can have this name: check import_bucket of the connection",
    "PermanentRedirect": _THE_REGION,
    "AuthorizationHeaderMalformed": _THE_REGION,
    "IllegalLocationConstraintException": _THE_REGION,
}
_PASSING: Mapping[str, str] = {
    "RequestTimeTooSkewed": _THE_CLOCK,
    "RequestExpired": _THE_CLOCK,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "SlowDown": "too many requests at once: the next try may come through",
    "ServiceUnavailable": "S3 is too busy: the next try may come through",
    "InternalError": "something failed at S3: the next try may come through",
    "RequestTimeout": "the connection was too slow for S3: the next try may come through",
}
_MAX_SKEW = timedelta(minutes=14)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket. S3's error code decides: a call raises S3Refused for what only a person can mend, S3Trouble for the
    rest, both without the `secrets`. boto's errors about the connection pass.
    """

    s3: Any
    name: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    now: Callable[[], datetime] = REAL.now

    def begin(self, key: str, load: str) -> str:
        """Begin an upload; returns its upload id."""
        call = self.s3.create_multipart_upload
        return str(self._ask(call, key, ContentType="text/csv", Metadata={LOAD: load})["UploadId"])

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        """Upload a part, numbered from 1; returns its ETag. Raises UploadGone."""
        return str(self._ask(self.s3.upload_part, key, UploadId=upload_id, PartNumber=number, Body=body)["ETag"])

    def complete(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make the object of its parts, all at once. Raises UploadGone, and NameTaken."""
        parts = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]}
        call = self.s3.complete_multipart_upload
        self._ask(call, key, UploadId=upload_id, MultipartUpload=parts, IfNoneMatch="*")

    def abort(self, key: str, upload_id: str) -> None:
        """Throw the parts away. Raises UploadGone."""
        self._ask(self.s3.abort_multipart_upload, key, UploadId=upload_id)

    def find(self, key: str) -> Found | None:
        """Look for an object."""
        try:
            head = self._ask(self.s3.head_object, key)
        except _NotThere:
            return None
        return Found(head["ContentLength"], head["Metadata"].get(LOAD, ""))

    def beginning(self, key: str, size: int) -> bytes | None:
        """The first bytes of an object, at most so many; None if there is none."""
        try:
            with closing(self._ask(self.s3.get_object, key)["Body"]) as body:
                return bytes(body.read(size))
        except _NotThere:
            return None

    def _ask(self, call: Callable[..., Any], key: str, **named: Any) -> Any:
        try:
            return call(Bucket=self.name, Key=key, **named)
        except self.s3.exceptions.ClientError as error:
            problem = self._problem(key, error)
        except _unreadable() as error:
            told = f"check s3_endpoint_url, and proxies: this is an answer that is none of S3's: {error}"
            problem = S3Trouble(self._told(key, told))
        except Exception as error:
            # boto follows a redirect, and asks where the bucket is, which is answered so, too.
            if not isinstance(error, RecursionError) and not isinstance(error.__context__, RecursionError):
                raise
            problem = S3Refused(self._told(key, f"{_THE_REGION} (PermanentRedirect, without an end)"))
        raise problem  # here, and not above: what S3 said, which may be a key, hangs on to its own error

    def _problem(self, key: str, error: Any) -> Exception:
        """What a refusal means."""
        code, status = str(error.response.get("Error", {}).get("Code", "")), _status(error.response)
        if code == "NoSuchUpload":
            return UploadGone(key)
        if status == 412:
            return NameTaken(key)
        if code in ("404", "NoSuchKey", "NotFound"):
            return _NotThere(self._told(key, str(error)))
        if status == 403 and code not in _PASSING and self._skewed(error.response):
            code = "RequestTimeTooSkewed"
        words = _PASSING.get(code) or _FINAL.get(code) or (_THE_KEYS if status in (401, 403) else "")
        kind = S3Refused if words and code not in _PASSING else S3Trouble
        return kind(self._told(key, f"{words}{' (' * bool(words)}{error}{')' * bool(words)}"))

    def _told(self, key: str, text: str) -> str:
        return f"s3://{self.name}/{key}: {shown(redact(text, self.secrets, MAX_TEXT))}"

    def _skewed(self, response: Mapping[str, Any]) -> bool:
        """Whether the answer's own time says that the clock is the reason: a HEAD's answer has no code."""
        try:
            date = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
            return abs((date if date.tzinfo else date.replace(tzinfo=UTC)) - self.now()) > _MAX_SKEW
        except (KeyError, TypeError, ValueError, OverflowError):
            return False


class _NotThere(OptimoveProviderError):
    """There is no such object."""


def _unreadable() -> type[Exception]:
    from botocore.parsers import ResponseParserError

    found: type[Exception] = ResponseParserError
    return found


def _status(response: Mapping[str, Any]) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
