"""What `Calls` of `s3_target` may do to a call: S3 refuses it, or its answer is lost, or lacks what S3 tells."""

from contextlib import contextmanager

from botocore.exceptions import ClientError, ConnectionClosedError


def refuse(status, code):
    """Every call is refused so."""

    def spoil(_):
        told = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(told, "Operation")

    return spoil


def lose(*numbers):
    """The answers to the calls with these numbers, or to all, are lost: for calls that were made already."""

    def spoil(count):
        if count in numbers or not numbers:
            raise ConnectionClosedError(endpoint_url="https://s3.test")

    return spoil


@contextmanager
def lacking(s3, call, member, numbers=(1,)):
    """The answers to the calls with these numbers lack a member, as those of a proxy do that answers for S3."""
    count = 0

    def spoil(parsed, **_):
        nonlocal count
        count += 1
        if count in numbers:
            parsed.pop(member)

    s3.meta.events.register(f"after-call.s3.{call}", spoil)
    yield
    s3.meta.events.unregister(f"after-call.s3.{call}", spoil)
