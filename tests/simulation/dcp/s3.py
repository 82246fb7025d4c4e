"""The import bucket as a world has it: each request is a step, in which it may be refused, lost, done late, or done
without an answer. What is done is done whole, as S3 does it: an object is there with its last byte, or not at all.
"""

import io
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from tests.simulation.answers import LATEST

if TYPE_CHECKING:
    from tests.simulation.airflow import Try
    from tests.simulation.dcp.vendor import Vendor

URL = "https://s3.test"
_MAKING = ("complete_multipart_upload", "put_object")
"""What makes an object visible."""


Refusal = Callable[[str, str], Exception]
"""Of an operation, by a server that says the secret key in its answer."""


def _answered(status: int, code: str) -> Refusal:
    def refuse(name: str, secret: str) -> Exception:
        told = {"Error": {"Code": code, "Message": f"no {secret}"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(told, name)  # type: ignore[arg-type]

    return refuse


UNDONE: Mapping[str, Refusal] = {
    "S3 not reached": lambda *_: EndpointConnectionError(endpoint_url=URL),
    "S3 lost before": lambda *_: ConnectionClosedError(endpoint_url=URL),
    "S3 500 undone": _answered(500, "InternalError"),
    "S3 503": _answered(503, "SlowDown"),
    "S3 409": _answered(409, "ConditionalRequestConflict"),
    "S3 403": _answered(403, "AccessDenied"),
    "S3 400": _answered(400, "InvalidRequest"),
    "S3 clock": _answered(403, "RequestTimeTooSkewed"),
}
"""Nothing is done for these."""
DONE: Mapping[str, Refusal] = {
    "S3 lost after": lambda *_: ReadTimeoutError(endpoint_url=URL),
    "S3 500 done": _answered(500, "InternalError"),
}


class SteppedS3:
    """The client of one process."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, vendor: "Vendor", sender: "Try") -> None:
        self._vendor, self._world, self._sender = vendor, vendor.world, sender

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._ask, name)

    def _ask(self, name: str, **named: Any) -> Any:
        world, vendor = self._world, self._vendor
        if "Body" in named and hasattr(named["Body"], "read"):
            named["Body"] = named["Body"].read()
        world.step(f"request {name}")
        fault = vendor.trouble.of_s3()
        if fault:
            world.tell(f"{fault}: {name}")
        if fault in UNDONE or fault == "S3 late":
            raise self._not_answered(fault, name, named)
        if fault == "S3 page":
            return {"Body": io.BytesIO()}
        if fault == "upload forgotten":
            vendor.s3.uploads.pop(named.get("UploadId", ""), None)
        answer = self._asked(name, named)
        if fault in DONE:
            raise DONE[fault](name, vendor.secret)
        return answer

    def _not_answered(self, fault: str, name: str, named: Mapping[str, Any]) -> Exception:
        if fault in UNDONE:
            return UNDONE[fault](name, self._vendor.secret)
        late = self._world.chaos.random.random() * LATEST
        self._world.scheduler.spawn("late request", partial(self._do_late, name, named), late)
        return ReadTimeoutError(endpoint_url=URL)

    def _asked(self, name: str, named: Mapping[str, Any]) -> Any:
        """Its answer, once it is there."""
        if name in _MAKING:
            self._vendor.target.check_writer(self._sender)
        answer = self._do(name, named)
        if name in _MAKING and self._world.chaos.is_end_of_closing():
            self._world.die("as the file is visible")
        self._world.step(f"answer {name}")
        return answer

    def _do(self, name: str, named: Mapping[str, Any]) -> Any:
        given = {**named, "Body": io.BytesIO(named["Body"])} if name == "put_object" else named
        answer = getattr(self._vendor.s3, name)(**given)
        self._world.tell(f"{name} {_told(named)}")
        if name in _MAKING:
            self._vendor.made(named["Key"], self._sender)
        return answer

    def _do_late(self, name: str, named: Mapping[str, Any]) -> None:
        try:
            self._do(name, named)
        except ClientError as error:
            self._world.tell(f"{name} {_told(named)} late: {error}")


def _told(named: Mapping[str, Any]) -> str:
    return f"{named.get('UploadId', '')} {named.get('PartNumber', '')}".strip()
