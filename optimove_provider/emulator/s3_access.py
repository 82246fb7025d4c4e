"""Who may do what in the import bucket. No I/O here.

Guess: the keys that a table gives are those of its service, and open what lies under the service's path, and nothing
else. AWS_ACCESS_KEY and AWS_SECRET_KEY stand for the identity of somebody who was given access to the whole bucket, as
an `aws_conn_id` may name it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.emulator.model.dcp import Service
from optimove_provider.emulator.model.state import AWS_ACCESS_KEY, AWS_SECRET_KEY, State
from optimove_provider.emulator.model.switches import S3Permissions
from optimove_provider.emulator.signature import Signed, why_not_signed

Operation = Literal["get", "put", "head", "delete", "create", "part", "complete", "abort", "list_parts", "bucket"]

_TEXTS: Mapping[str, str] = {
    "AccessDenied": "Access Denied",
    "InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
    "SignatureDoesNotMatch": "The request signature we calculated does not match the signature you provided.",
    "MethodNotAllowed": "The specified method is not allowed against this resource.",
    "NotImplemented": "A header you provided implies functionality that is not implemented.",
    "NoSuchUpload": "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
    "aborted or completed.",
    "EntityTooLarge": "Your proposed upload exceeds the maximum allowed size.",
    "NoSuchKey": "The specified key does not exist.",
    "PreconditionFailed": "At least one of the pre-conditions you specified did not hold",
    "ConditionalRequestConflict": "A conflicting conditional operation is currently in progress against this resource.",
    "InternalError": "We encountered an internal error. Please try again.",
    "InvalidRequest": "Invalid Request",
    "ExpectationFailed": "Expectation Failed",
    "UnprocessableEntity": "Unprocessable Entity",
    "PreconditionRequired": "Precondition Required",
}
_STATUS: Mapping[str, int] = {
    "NoSuchUpload": 404,
    "MethodNotAllowed": 405,
    "NotImplemented": 501,
    "EntityTooLarge": 400,
    "NoSuchKey": 404,
    "PreconditionFailed": 412,
    "ConditionalRequestConflict": 409,
    "InternalError": 500,
    "InvalidRequest": 400,
    "ExpectationFailed": 417,
    "UnprocessableEntity": 422,
    "PreconditionRequired": 428,
}
_REFUSED: Mapping[S3Permissions, tuple[str, frozenset[Operation]]] = {
    "all": ("", frozenset()),
    "get_put_only": (
        "MethodNotAllowed",
        frozenset(get_args(Operation)) - {"get", "put", "part", "list_parts", "bucket"},
    ),
    "no_create": ("AccessDenied", frozenset({"create"})),
    "no_part": ("AccessDenied", frozenset({"part"})),
    "no_complete": ("AccessDenied", frozenset({"complete"})),
    "no_abort": ("AccessDenied", frozenset({"abort"})),
    "no_head": ("AccessDenied", frozenset({"head"})),
    "no_look": ("AccessDenied", frozenset({"head", "get"})),
    "no_if_none_match": ("NotImplemented", frozenset()),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """What S3 refuses, and how."""

    code: str

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _STATUS.get(self.code, 403)

    @property
    def body(self) -> bytes:
        """The answer's body, but of HEAD, which has none."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{_TEXTS[self.code]}</Message></Error>"
        ).encode()


def why_not_permitted(permissions: S3Permissions, operation: Operation, is_conditional: bool) -> Refused | None:
    """How an operation is refused; None if it is not. `is_conditional`: it has an If-None-Match."""
    code, refused = _REFUSED[permissions]
    return Refused(code) if operation in refused or (permissions == "no_if_none_match" and is_conditional) else None


class S3Access:
    """What the state of an emulator says about requests to its bucket. `upload_bytes` tells how much the parts of an
    upload have by now; None where there is no such upload, of which moto answers 500."""

    def __init__(self, state: State, upload_bytes: Callable[[str], int | None]) -> None:
        self._state, self._upload_bytes = state, upload_bytes

    def why_refused(self, asked: Signed) -> Refused | None:
        """How a request is refused; None if it is not."""
        operation, key, query = _operation(asked)
        refused = self._why_unknown(asked, operation, key, query)
        if refused or operation == "bucket":
            return refused
        is_conditional = "if-none-match" in asked.headers
        refused = why_not_permitted(self._state.switches.s3_permissions, operation, is_conditional)
        refused = refused or self._why_odd(operation, is_conditional)
        upload = self._upload_bytes(query["uploadId"]) if operation in ("part", "complete", "list_parts") else 0
        if upload is None and not refused:
            return Refused("NoSuchUpload")
        return refused or self._why_too_large(asked, operation, upload or 0)

    def _why_unknown(self, asked: Signed, operation: Operation, key: str, query: Mapping[str, str]) -> Refused | None:
        if self._state.switches.s3_credentials == "any":
            return None
        if code := why_not_signed(asked, self._secrets().get):
            return Refused(code)
        if asked.access_key == AWS_ACCESS_KEY:
            return None
        where = query.get("prefix", "") if operation == "bucket" else key
        paths = [one.path for one in self._services if one.credentials.access_key == asked.access_key]
        return None if any(where.startswith(f"{path}/") for path in paths) else Refused("AccessDenied")

    def _why_odd(self, operation: Operation, is_conditional: bool) -> Refused | None:
        head, condition = self._state.switches.s3_head, self._state.switches.s3_condition
        if operation == "head" and head != "answered":
            return Refused(head)
        return Refused(condition) if is_conditional and condition != "kept" else None

    def _why_too_large(self, asked: Signed, operation: Operation, upload: int) -> Refused | None:
        if operation not in ("put", "complete"):
            return None
        sent = int(asked.headers.get("x-amz-decoded-content-length") or asked.headers.get("content-length") or 0)
        size = upload if operation == "complete" else sent
        if size < self._state.switches.import_limit_bytes or self._state.switches.too_large != "s3":
            return None
        return Refused("EntityTooLarge")

    @property
    def _services(self) -> list[Service]:
        return list(self._state.services.values())  # other threads may change them

    def _secrets(self) -> dict[str, str]:
        keys = [(one.credentials.access_key, one.credentials.secret_key) for one in self._services]
        return {AWS_ACCESS_KEY: AWS_SECRET_KEY, **dict(keys)}


_OF_UPLOADS: Mapping[str, Operation] = {"POST": "complete", "DELETE": "abort", "GET": "list_parts", "PUT": "part"}
_OF_OBJECTS: Mapping[str, Operation] = {"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete"}


def _operation(asked: Signed) -> tuple[Operation, str, dict[str, str]]:
    """What a request wants to do, with which key, and its query."""
    parts = urlsplit(asked.target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    path = unquote(parts.path).removeprefix("/")
    in_host = asked.headers.get("host", "").startswith(f"{IMPORT_BUCKET}.")
    key = path if in_host else path.partition("/")[2]
    if not key:
        return "bucket", "", query
    if "uploadId" in query:
        return _OF_UPLOADS.get(asked.method, "bucket"), key, query
    if "uploads" in query:
        return "create", key, query
    return _OF_OBJECTS.get(asked.method, "bucket"), key, query
