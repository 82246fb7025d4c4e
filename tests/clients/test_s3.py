"""Multipart uploads against moto's S3: what is visible when, and which refusals have names."""

import threading
import uuid
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest

from optimove_provider.clients.s3 import Bucket, Found, NameTaken, UploadGone
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.contract.wire.errors import S3Refused
from optimove_provider.emulator import EmulatorServer

FIVE_MIB = b"x" * (5 << 20)


def s3_client(url):
    keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return closing(boto3.client("s3", endpoint_url=url, **keys))


@pytest.fixture(scope="module")
def bucket():
    with EmulatorServer() as server, s3_client(server.s3_url) as client:
        yield Bucket(client, IMPORT_BUCKET)


@pytest.fixture
def key():
    return f"dcp/{uuid.uuid4()}.csv"


def body_of(bucket, key):
    return bucket.s3.get_object(Bucket=bucket.name, Key=key)["Body"].read()


def test_nothing_is_visible_before_an_upload_is_completed(bucket, key):
    upload_id = bucket.begin(key, "load/1")
    etags = [bucket.put_part(key, upload_id, number, body) for number, body in enumerate((FIVE_MIB, b"end"), 1)]
    assert bucket.find(key) is None
    bucket.complete(key, upload_id, etags)
    assert bucket.find(key) == Found(size=len(FIVE_MIB) + 3, load="load/1")
    assert body_of(bucket, key) == FIVE_MIB + b"end"


def test_parts_may_go_up_in_any_order_and_more_than_once(bucket, key):
    upload_id = bucket.begin(key, "load/1")
    second = bucket.put_part(key, upload_id, 2, b"end")
    bucket.put_part(key, upload_id, 1, FIVE_MIB[1:] + b"y")
    first = bucket.put_part(key, upload_id, 1, FIVE_MIB)
    bucket.complete(key, upload_id, [first, second])
    assert body_of(bucket, key) == FIVE_MIB + b"end"


def test_a_name_is_never_used_twice(bucket, key):
    uploads = [bucket.begin(key, f"load/{number}") for number in (1, 2)]
    etags = [bucket.put_part(key, upload_id, 1, upload_id.encode()) for upload_id in uploads]
    bucket.complete(key, uploads[0], etags[:1])
    with pytest.raises(NameTaken):
        bucket.complete(key, uploads[1], etags[1:])
    assert body_of(bucket, key) == uploads[0].encode()


def test_an_aborted_upload_makes_no_object(bucket, key):
    upload_id = bucket.begin(key, "load/1")
    bucket.put_part(key, upload_id, 1, b"x")
    bucket.abort(key, upload_id)
    assert bucket.find(key) is None
    uploads = bucket.s3.list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])
    assert key not in [upload["Key"] for upload in uploads]


def test_a_bucket_that_is_not_there_is_named(bucket, key):
    with pytest.raises(S3Refused, match=r"check import_bucket of the connection .*NoSuchBucket"):
        Bucket(bucket.s3, "no-such-bucket").begin(key, "load/1")


class Refusing(BaseHTTPRequestHandler):
    """Answers as S3 does, and moto does not: to keys that may not write, and to uploads that are gone."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"<Error><Code>{self.server.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_DELETE = do_POST

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def refusing():
    """A function that makes a bucket of which every call is refused in one way."""
    with ExitStack() as stack:

        def start(status, code):
            server = stack.enter_context(HTTPServer(("127.0.0.1", 0), Refusing))
            server.status, server.code = status, code
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return Bucket(stack.enter_context(s3_client(f"http://127.0.0.1:{server.server_port}")), IMPORT_BUCKET)

        yield start


CALLS = [
    lambda bucket: bucket.put_part("dcp/1.csv", "id", 1, b"x"),
    lambda bucket: bucket.complete("dcp/1.csv", "id", ["etag"]),
    lambda bucket: bucket.abort("dcp/1.csv", "id"),
]


@pytest.mark.parametrize("call", [lambda bucket: bucket.begin("dcp/1.csv", "load/1"), *CALLS])
def test_keys_that_s3_refuses_are_named_as_such(refusing, call):
    with pytest.raises(S3Refused, match=r"s3://optimizely-import/dcp/1\.csv: .*AccessDenied") as caught:
        call(refusing(403, "AccessDenied"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_an_upload_that_is_gone_is_named_as_such(refusing, call):
    with pytest.raises(UploadGone):
        call(refusing(404, "NoSuchUpload"))
