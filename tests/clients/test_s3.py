"""Multipart uploads against moto's S3: what is visible when, and which refusals have names."""

import io
import threading
import time
import uuid
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ProxyConnectionError
from botocore.parsers import ResponseParserError

from optimove_provider.clients.s3 import Bucket, Found, InDoubt, NameTaken, NotPermitted, NotTaken, UploadGone
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.contract.wire.errors import S3Refused, S3Trouble
from optimove_provider.emulator import AWS_ACCESS_KEY, AWS_SECRET_KEY, EmulatorServer

SECRET = "secret/canary+"
FIVE_MIB = b"x" * (5 << 20)


def s3_client(url):
    keys = {"aws_access_key_id": AWS_ACCESS_KEY, "aws_secret_access_key": AWS_SECRET_KEY, "region_name": "us-east-1"}
    at_once = Config(retries={"total_max_attempts": 1})
    return closing(boto3.client("s3", endpoint_url=url, config=at_once, **keys))


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
        echoed = (quote(SECRET), SECRET, SECRET.upper(), f"{SECRET[:6]}\n{SECRET[6:]}")
        said = f"no; your key is AKIA-canary, its secret {' '.join(echoed)}"
        body = f"<Error><Code>{self.server.code}</Code><Message>{said}</Message></Error>".encode()
        self.send_response_only(self.server.status)
        self.send_header("Date", formatdate(self.server.date))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_DELETE = do_GET = do_POST

    def do_HEAD(self):
        self.send_response_only(self.server.status)
        self.send_header("Date", formatdate(self.server.date))
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving(handler):
    """A server with this handler, and a client of it."""
    with ExitStack() as stack:
        server = stack.enter_context(HTTPServer(("127.0.0.1", 0), handler))
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        client = stack.enter_context(s3_client(f"http://127.0.0.1:{server.server_port}"))
        yield server, client


@pytest.fixture(scope="module")
def refusing():
    """A function that makes a bucket of which every call is refused in one way."""
    with serving(Refusing) as (server, client):

        def start(status, code, date=None):
            server.status, server.code, server.date = status, code, date
            return Bucket(client, IMPORT_BUCKET, ("AKIA-canary", SECRET))

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
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_an_upload_that_is_gone_is_named_as_such(refusing, call):
    with pytest.raises(UploadGone):
        call(refusing(404, "NoSuchUpload"))


CODES = [
    (403, "RequestTimeTooSkewed", S3Trouble, "set the clock"),
    (403, "RequestExpired", S3Trouble, "set the clock"),
    (400, "ExpiredToken", S3Trouble, "have expired"),
    (403, "AccessDenied", S3Refused, "the keys may not do this"),
    (403, "SignatureDoesNotMatch", S3Refused, "does not belong to the access key"),
    (403, "InvalidAccessKeyId", S3Refused, "AWS does not know the access key"),
    (400, "InvalidToken", S3Refused, "enter new temporary keys"),
    (404, "NoSuchBucket", S3Refused, "check import_bucket"),
    (301, "PermanentRedirect", S3Refused, "check import_bucket, region"),
    (400, "AuthorizationHeaderMalformed", S3Refused, "check import_bucket, region"),
    (503, "SlowDown", S3Trouble, "too many requests"),
    (500, "InternalError", S3Trouble, "something failed at S3"),
    (403, "SomethingNew", S3Refused, "the keys may not do this"),
    (400, "SomethingNew", S3Trouble, "An error occurred"),
    (500, "SomethingNew", S3Trouble, "An error occurred"),
]


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"), CODES, ids=[f"{code} {status}" for status, code, *_ in CODES]
)
def test_the_code_decides_what_a_refusal_means(refusing, status, code, kind, told):
    """A report against an uploader: a wrong clock was told as a wrong key, and never tried again."""
    with pytest.raises(kind, match=rf"s3://optimizely-import/dcp/1\.csv: .*{told}.*{code}") as caught:
        refusing(status, code).put_part("dcp/1.csv", "id", 1, b"x")
    error = caught.value
    while error:
        said = f"{error!r}{vars(error)}".lower()
        assert not [one for one in ("AKIA-canary", SECRET, quote(SECRET), SECRET[6:]) if one.lower() in said]
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(("status", "code"), [(200, "InternalError"), (500, "InternalError"), (502, "")])
def test_an_answer_that_does_not_tell_what_was_done_is_in_doubt(refusing, status, code):
    """Public reports: a completion that S3 began to answer with 200, and then ended with an error."""
    with pytest.raises(InDoubt, match=r"s3://optimizely-import/dcp/1\.csv: .*CompleteMultipartUpload"):
        refusing(status, code).complete("dcp/1.csv", "id", ["etag"])


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", NotPermitted),
        (405, "MethodNotAllowed", NotPermitted),
        (405, "", NotPermitted),
        (501, "NotImplemented", NotPermitted),
        (400, "NotImplemented", NotPermitted),
        (400, "InvalidArgument", NotTaken),
        (503, "SlowDown", S3Trouble),
        (403, "InvalidAccessKeyId", S3Refused),
        (412, "PreconditionFailed", NameTaken),
    ],
)
def test_of_a_put_a_caller_knows_what_it_may_answer(refusing, status, code, kind):
    bucket = refusing(status, code)
    with pytest.raises(kind) as caught:
        bucket.put("dcp/1.csv", "load/1", io.BytesIO(b"text"), 4, "HLLS5iFe4t/HNHFQ3JQcpg==")
    assert type(caught.value) is kind


def test_nothing_of_botos_reaches_a_person(bucket, key):
    def cannot(**_):
        raise ProxyConnectionError(proxy_url="http://bob:p4ssw0rd@proxy.test")

    bucket.s3.meta.events.register("before-call.s3", cannot)
    with pytest.raises(S3Trouble, match=rf"s3://optimizely-import/{key}: no answer came: check") as caught:
        replace(bucket, secrets=("p4ssw0rd",)).begin(key, "load/1")
    bucket.s3.meta.events.unregister("before-call.s3", cannot)
    assert "p4ssw0rd" not in str(caught.value)


@pytest.mark.parametrize(("hours", "kind"), [(1, S3Trouble), (-1, S3Trouble), (0, S3Refused)])
def test_the_clock_is_named_where_an_answer_has_no_code(refusing, hours, kind):
    with pytest.raises(kind) as caught:
        refusing(403, "", time.time() + hours * 3600).find("dcp/1.csv")
    assert ("set the clock" in str(caught.value)) is bool(hours)


def test_an_object_that_is_not_there_is_none(refusing):
    bucket = refusing(404, "NoSuchKey")
    assert (bucket.find("dcp/1.csv"), bucket.beginning("dcp/1.csv", 9)) == (None, None)


def test_an_answer_that_is_none_of_s3s_shows_no_key(refusing):
    def fail(**_):
        raise ResponseParserError(f"invalid XML received:\n<p>{SECRET}</p>")

    bucket = refusing(403, "AccessDenied")
    bucket.s3.meta.events.register("before-call.s3", fail)
    with pytest.raises(S3Trouble, match=r"none of S3's \(invalid XML received:\\n<p>\*\*\*</p>"):
        bucket.begin("dcp/1.csv", "load/1")
    bucket.s3.meta.events.unregister("before-call.s3", fail)


def test_no_more_than_the_beginning_of_an_object_is_read(bucket, key):
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"customerId\n1\n")
    assert bucket.beginning(key, 8) == b"customer"


class Answering(BaseHTTPRequestHandler):
    """Answers as a proxy may: whatever `server.answer` says, of whatever is asked."""

    protocol_version = "HTTP/1.1"  # or boto waits a second to be told to continue

    def do_GET(self):
        self.close_connection = True
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, body = self.server.answer
        self.send_response_only(status)
        self.send_header("Connection", "close")
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_PUT = do_POST = do_HEAD = do_GET

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def answering():
    """A function that makes a bucket of which every call is answered so."""
    with serving(Answering) as (server, client):

        def start(status=200, body=b"", sized=True, **headers):
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            server.answer = status, named | ({"Content-Length": str(len(body))} if sized else {}), body
            return Bucket(client, IMPORT_BUCKET)

        yield start


PUT = lambda bucket: bucket.put("k", "load/1", io.BytesIO(b"text"), 4, "HLLS5iFe4t/HNHFQ3JQcpg==")  # noqa: E731
PAGES = [
    b"",
    b"<html><body>Welcome</body></html>",
    b"<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>",
]


@pytest.mark.parametrize("body", [*PAGES, b"<Error><Code>InternalError</Code></Error>", b"<html><p>Welcome"])
def test_a_completion_is_done_if_s3_says_so_and_in_doubt_if_200_says_anything_else(answering, body):
    """Public reports: a 200 with an error in it, an empty one, or a proxy's page was taken for a completed upload."""
    with pytest.raises(InDoubt, match=r"CompleteMultipartUpload|without ETag, which is not S3's|none of S3's"):
        answering(body=body).complete("k", "id", ["etag"])


def test_what_s3_says_of_a_completion_is_enough(answering):
    done = b"<CompleteMultipartUploadResult><ETag>x-1</ETag></CompleteMultipartUploadResult>"
    answering(body=done).complete("k", "id", ["etag"])
    PUT(answering(ETag="x"))


@pytest.mark.parametrize(
    ("call", "kind", "member"),
    [
        (lambda bucket: bucket.begin("k", "load/1"), S3Trouble, "UploadId"),
        (lambda bucket: bucket.put_part("k", "id", 1, b"x"), S3Trouble, "ETag"),
        (PUT, InDoubt, "ETag"),
        (lambda bucket: bucket.is_open("k", "id"), NotTaken, "UploadId"),
    ],
)
@pytest.mark.parametrize("body", PAGES[:2], ids=["nothing", "a page"])
def test_a_success_that_lacks_what_s3_always_tells_is_none(answering, call, kind, member, body):
    with pytest.raises(kind, match=f"a success without {member}, which is not S3's: check") as caught:
        call(answering(body=body))
    assert type(caught.value) is kind


@pytest.mark.parametrize(("lacking", "told"), [("ContentLength", {"ETag": "x", "sized": False}), ("ETag", {})])
def test_an_object_without_what_s3_tells_of_each_is_none_that_anybody_has_seen(answering, lacking, told):
    with pytest.raises(NotTaken, match=f"a success without {lacking}"):
        answering(body=b"Welcome", **told).find("k")


@pytest.mark.parametrize("name", ["x_amz_meta_optimove_load", "X_Amz_Meta_Optimove_Load", "X_AMZ_META_OPTIMOVE_LOAD"])
def test_the_mark_of_a_load_is_read_however_its_header_is_written(answering, name):
    """Public reports: servers written in Go give metadata back with capitals, and their own objects were not known."""
    assert answering(body=b"text", ETag="x", **{name: "load/1"}).find("k") == Found(4, "load/1")
    assert answering(body=b"text", ETag="x").find("k") == Found(4, "")


def test_an_object_that_breaks_off_is_told_as_an_answer_that_did_not_come(answering):
    with pytest.raises(S3Trouble, match=r"s3://optimizely-import/k: no answer came"):
        answering(body=b"no size of a chunk", sized=False, Transfer_Encoding="chunked").beginning("k", 9)


@pytest.mark.parametrize("status", [412, 404, 409, 410, 417, 422, 428])
def test_what_s3_does_not_take_has_a_kind_whatever_was_asked(answering, status):
    bucket = answering(status, b"<Error><Code>Odd</Code></Error>")
    for call in (CALLS[0], lambda one: one.begin("k", "load/1"), lambda one: one.beginning("k", 9)):
        with pytest.raises(NotTaken, match="Odd"):
            call(bucket)


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchUpload"])
def test_codes_that_say_what_is_not_there_mean_so_only_where_it_was_asked_for(answering, code):
    """Public reports: a store answers a conditional write NoSuchKey where there is no object."""
    with pytest.raises(NotTaken, match=code):
        PUT(answering(404, f"<Error><Code>{code}</Code></Error>".encode()))


@pytest.mark.parametrize("status", [400, 403, 409, 501])
def test_a_look_that_is_refused_is_refused_for_good_and_one_that_fails_is_not(answering, status):
    with pytest.raises((S3Refused, NotTaken)):
        answering(status).find("k")
    with pytest.raises(S3Trouble) as caught:
        answering(500).find("k")
    assert type(caught.value) is S3Trouble
