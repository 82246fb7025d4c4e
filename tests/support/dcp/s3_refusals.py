"""What `Calls` of `s3_target` may do to a call: S3 refuses it, or its answer is lost."""

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
