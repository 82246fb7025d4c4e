"""Objects of S3, over the boto3 clients that are given: in parts, of which nothing is visible before they are
completed, or whole, with one PUT."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

from optimove_provider.contract.wire.errors import OptimoveProviderError, S3Refused, S3Trouble
from optimove_provider.contract.wire.outside import MAX_TEXT, redact
from optimove_provider.contract.wire.shown import shown
from optimove_provider.surroundings import REAL

log = logging.getLogger(__name__)
LOAD = "optimove-load"
"""The metadata by which a load knows an object as its own."""


class UploadGone(Exception):
    """An upload is not open any more: it was completed, or aborted."""


class NameTaken(Exception):
    """An object of this name exists already."""


class NotPermitted(S3Refused):
    """S3 refuses this operation, or this form of it, and not the keys: others may be allowed."""


class NotTaken(S3Trouble):
    """S3 does not take the request as it is, for a reason that is not known here: one of its headers, perhaps."""


class Conflict(NotTaken):
    """Another request about the same name was under way (409), says S3, and asks for the request again."""


class InDoubt(S3Trouble):
    """An answer came that does not tell whether S3 did what was asked."""


class NoAnswer(InDoubt):
    """No answer came: S3 may be about to do what was asked."""


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
_NOT_OFFERED = (
    "this operation is not offered there: check s3_endpoint_url and upload_method of the connection, and proxies"
)
_UNKNOWN = "a reason that is not known here: the next try may come through; if it lasts, look the code up"
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_THE_REGION = "the bucket is in another region: check import_bucket, region and s3_endpoint_url of the connection"
_EXPIRED = "the temporary keys have expired: the next try takes new ones; check aws_conn_id if it does not help"
_FINAL: Mapping[str, str] = {
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
_OF_THE_OPERATION: Mapping[str, str] = {
    "AccessDenied": _THE_KEYS,
    "MethodNotAllowed": _NOT_OFFERED,
    "NotImplemented": _NOT_OFFERED,
    "UnsupportedOperation": _NOT_OFFERED,
    "OperationNotSupported": _NOT_OFFERED,
}
_BY_STATUS: Mapping[int, str] = {401: _THE_KEYS, 403: _THE_KEYS, 405: _NOT_OFFERED, 501: _NOT_OFFERED}
_ANSWERED_FOR_GOOD = frozenset(range(300, 500)) - {408, 425, 429}
"""Statuses by which a request is not carried out, now or later; those left out ask for patience."""
_MAX_SKEW = timedelta(minutes=14)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket. S3's error code decides: a call raises S3Refused for what only a person can mend, S3Trouble for the
    rest, both without the `secrets`, with bucket, key, operation, code and what to do. NotPermitted, NotTaken, Conflict
    and InDoubt are the kinds that a caller may answer. A success that lacks what S3 always tells is none.

    `once` is a client that asks once, for requests that must not be repeated unseen; None where `s3` serves.
    """

    s3: Any
    name: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    now: Callable[[], datetime] = REAL.now
    once: Any = None

    def begin(self, key: str, load: str) -> str:
        """Begin an upload; returns its upload id."""
        call = self.s3.create_multipart_upload
        return self._member(key, "UploadId", self._ask(call, key, ContentType="text/csv", Metadata={LOAD: load}))

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        """Upload a part, numbered from 1; returns its ETag. Raises UploadGone."""
        asked = self._ask(self.s3.upload_part, key, UploadId=upload_id, PartNumber=number, Body=body)
        return self._member(key, "ETag", asked)

    def complete(self, key: str, upload_id: str, etags: Sequence[str], only_new: bool = True) -> None:
        """Make the object of its parts, all at once. Raises UploadGone; if `only_new`, NameTaken."""
        parts = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]}
        call = (self.once or self.s3).complete_multipart_upload
        asked = self._ask(call, key, UploadId=upload_id, MultipartUpload=parts, **_ONLY_NEW if only_new else {})
        self._member(key, "ETag", asked, InDoubt)

    def put(self, key: str, load: str, body: BinaryIO, size: int, md5: str, only_new: bool = True) -> None:
        """Put an object whole. `md5` is base64, and S3 compares it. If `only_new`, raises NameTaken."""
        named = {"ContentLength": size, "ContentMD5": md5, "ContentType": "text/csv", "Metadata": {LOAD: load}}
        call = (self.once or self.s3).put_object
        asked = self._ask(call, key, Body=body, **named, **_ONLY_NEW if only_new else {})
        self._member(key, "ETag", asked, InDoubt)

    def abort(self, key: str, upload_id: str) -> None:
        """Throw the parts away. Raises UploadGone."""
        self._ask(self.s3.abort_multipart_upload, key, UploadId=upload_id)

    def is_open(self, key: str, upload_id: str) -> bool:
        """Whether an upload is still to be completed: it never was, then."""
        try:
            asked = self._ask(self.s3.list_parts, key, UploadId=upload_id, MaxParts=1)
        except UploadGone:
            return False
        return bool(self._member(key, "UploadId", asked, NotTaken))

    def find(self, key: str) -> Found | None:
        """Look for an object: with HEAD and, unless that shows it, with GET, of which nothing is read.

        A HEAD's answer has no body that tells S3's from a proxy's. Raises S3Refused or NotTaken where nobody may look.
        """
        is_missed = False
        try:
            return self._found(key, self._ask(self.s3.head_object, key))
        except _NotThere:
            is_missed = True
        except (S3Refused, S3Trouble) as error:
            log.info("%s. The object is looked for with GET", error)
        try:
            return self._find_with_get(key)
        except (S3Refused, NotTaken):
            if not is_missed:
                raise
            return None

    def _find_with_get(self, key: str) -> Found | None:
        try:
            got = self._ask(self.s3.get_object, key)
        except _NotThere:
            return None
        got["Body"].close()
        return self._found(key, got)

    def _found(self, key: str, answer: Mapping[str, Any]) -> Found:
        size = int(self._member(key, "ContentLength", answer, NotTaken))
        # Servers and proxies write the names of headers as they like.
        marks = {name.lower(): text for name, text in answer.get("Metadata", {}).items()}
        if LOAD not in marks:  # a page is none of ours, and no object
            self._member(key, "ETag", answer, NotTaken)
        return Found(size, marks.get(LOAD, ""))

    def beginning(self, key: str, size: int) -> bytes | None:
        """The first bytes of an object, at most so many; None if there is none."""

        def read(**named: Any) -> bytes:
            with closing(self.s3.get_object(**named)["Body"]) as body:
                return bytes(body.read(size))

        try:
            return bytes(self._ask(read, key))
        except _NotThere:
            return None

    def _member(self, key: str, name: str, answer: Mapping[str, Any] | None, kind: type[S3Trouble] = S3Trouble) -> str:
        """What S3 always tells; a success without it is a proxy's."""
        if (found := (answer or {}).get(name)) not in (None, ""):
            return str(found)
        raise kind(self._told(key, f"a success without {name}, which is not S3's: check s3_endpoint_url, and proxies"))

    def _ask(self, call: Callable[..., Any], key: str, **named: Any) -> Any:
        from botocore.exceptions import BotoCoreError
        from botocore.parsers import ResponseParserError

        try:
            return call(Bucket=self.name, Key=key, **named)
        except self.s3.exceptions.ClientError as error:
            problem = self._problem(key, error, named)
        except (BotoCoreError, ResponseParserError) as error:
            problem = _if_done(named, _kind_of(error))(self._told(key, f"{_words_of(error)} ({error})"))
        except Exception as error:
            # boto follows a redirect, and asks where the bucket is, which is answered so, too.
            if not isinstance(error, RecursionError) and not isinstance(error.__context__, RecursionError):
                raise
            problem = S3Refused(self._told(key, f"{_THE_REGION} (PermanentRedirect, without an end)"))
        raise problem  # here, and not above: what S3 said, which may be a key, hangs on to its own error

    def _problem(self, key: str, error: Any, named: Mapping[str, Any]) -> Exception:
        """What a refusal of a request means that has `named` besides its key: one that only looks has nothing."""
        code, status = str(error.response.get("Error", {}).get("Code", "")), _status(error.response)
        if code == "NoSuchUpload" and "UploadId" in named:
            return UploadGone(key)
        if status == 412 and "IfNoneMatch" in named:
            return NameTaken(self._told(key, str(error)))
        if code in ("404", "NoSuchKey", "NotFound") and not named:
            return _NotThere(self._told(key, str(error)))
        if status == 403 and code not in _PASSING and self._skewed(error.response):
            code = "RequestTimeTooSkewed"
        words = (
            _PASSING.get(code) or _FINAL.get(code) or _OF_THE_OPERATION.get(code) or _BY_STATUS.get(status) or _UNKNOWN
        )
        return _if_done(named, _kind(code, status))(self._told(key, f"{words} ({error})"))

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


_ONLY_NEW: Mapping[str, str] = {"IfNoneMatch": "*"}


def _kind(code: str, status: int) -> type[Exception]:
    """The error that stands for a code of S3's and its status."""
    if code in _FINAL:
        return S3Refused
    if code not in _PASSING and (code in _OF_THE_OPERATION or status in _BY_STATUS):
        return NotPermitted
    if code not in _PASSING and status in _ANSWERED_FOR_GOOD:
        return Conflict if status == 409 else NotTaken
    return InDoubt if _tells_nothing(status) else S3Trouble


def _if_done(named: Mapping[str, Any], kind: type[Exception]) -> type[Exception]:
    """The error of a request that has `named` besides its key: one that only looks leaves nothing in doubt."""
    return kind if named or not issubclass(kind, InDoubt) else S3Trouble


def _tells_nothing(status: int) -> bool:
    """Whether a status says that something failed, and not how far it had come; 503 is said before the work begins."""
    return status not in (501, 503) and not 300 <= status < 500


def _kind_of(error: Exception) -> type[Exception]:
    """The error that stands for one of boto's own, which no answer of S3's caused."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.ProfileNotFound):
        return S3Refused
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectTimeoutError | boto.ProxyConnectionError):
        return S3Trouble
    if isinstance(error, boto.SSLError) and _UNTRUSTED in str(error):
        return S3Trouble
    lost = boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError | ResponseParserError
    return NoAnswer if isinstance(error, lost) else S3Trouble


def _words_of(error: Exception) -> str:
    """What it says to a person."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    if isinstance(error, ResponseParserError):
        return "check s3_endpoint_url, and proxies: this is an answer that is none of S3's"
    if isinstance(error, boto.SSLError) and _UNTRUSTED in str(error):
        return "S3's certificate is not trusted here: check s3_endpoint_url, and verify of aws_conn_id"
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError):
        return "no answer came: check s3_endpoint_url, region and proxies, and run the task again"
    return "boto could not sign or ask: check aws_conn_id, region and s3_endpoint_url"


def _status(response: Mapping[str, Any]) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
