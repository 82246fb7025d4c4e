"""Who may do what in the emulated bucket, over a real socket: whose keys, what operations, what becomes of files."""

import json
from contextlib import closing, contextmanager
from urllib.request import ProxyHandler, build_opener

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.emulator import AWS_ACCESS_KEY, AWS_SECRET_KEY, EmulatorServer, Switches

ALL = (AWS_ACCESS_KEY, AWS_SECRET_KEY)


@pytest.fixture(scope="module")
def emulator():
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def make(emulator, caller):
    """A function that makes a service with a table, under some switches, and returns the table as the API shows it."""
    emulator.state.reset()

    def make(**switches):
        emulator.state.switches = Switches(**switches)
        ask = caller(emulator.state)
        service = ask.json("POST", "/experiment/v1/dcp_services", {"name": "Shop"})
        wanted = {"name": "Customers", "keyfield_locator_type": "uid"}
        return ask.json("POST", f"/experiment/v1/dcp_services/{service['id']}/dcp_datasources", wanted)

    return make


@contextmanager
def signing(emulator, access_key, secret_key):
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key, "region_name": "us-east-1"}
    at_once = Config(retries={"total_max_attempts": 1}, proxies={})
    with closing(boto3.client("s3", endpoint_url=emulator.s3_url, config=at_once, **keys)) as client:
        yield client


def keys_of(table):
    return table["aws_access_key"], table["aws_secret_key"]


def code(call, **named):
    """The error code that S3 answers; empty for a success."""
    try:
        call(Bucket=IMPORT_BUCKET, **named)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def in_parts(s3, key):
    """Upload in parts; gives the code that each request was answered, up to the first refusal."""
    told = []

    def ask(call, **named):
        try:
            answer = call(Bucket=IMPORT_BUCKET, Key=key, **named)
        except ClientError as error:
            told.append(error.response["Error"]["Code"])
            raise
        told.append("")
        return answer

    try:
        upload = ask(s3.create_multipart_upload, Metadata={"optimove-load": "a/1"})["UploadId"]
        tag = ask(s3.upload_part, UploadId=upload, PartNumber=1, Body=b"customerId\n1\n")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        ask(s3.complete_multipart_upload, UploadId=upload, MultipartUpload=parts)
    except ClientError:
        pass
    return told


@pytest.mark.parametrize("name", ["a.csv", "a b+c&d=é.csv", "~x/y%20(1).csv"])
def test_a_tables_own_keys_open_its_path(emulator, make, name):
    table = make()
    with signing(emulator, *keys_of(table)) as s3:
        where = {"Key": f"{table['s3_path']}/{name}"}
        assert code(s3.put_object, Body=b"customerId\n1\n", Metadata={"optimove-load": "a  b"}, **where) == ""
        assert s3.get_object(Bucket=IMPORT_BUCKET, **where)["Body"].read() == b"customerId\n1\n"
        assert in_parts(s3, f"{where['Key']}.parts") == ["", "", ""]
        assert code(s3.list_objects_v2, Prefix=f"{table['s3_path']}/") == ""


def test_keys_of_others_open_nothing(emulator, make):
    table = make()
    access, secret = keys_of(table)
    where = {"Key": f"{table['s3_path']}/a.csv", "Body": b"customerId\n1\n"}
    for keys, said in (
        (("AKIAWORKERSOWN", secret), "InvalidAccessKeyId"),
        ((access, secret[:-1]), "SignatureDoesNotMatch"),
        ((AWS_ACCESS_KEY, secret), "SignatureDoesNotMatch"),
        (ALL, ""),
    ):
        with signing(emulator, *keys) as s3:
            assert code(s3.put_object, **where) == said
            assert in_parts(s3, where["Key"])[0] == said
    with signing(emulator, access, secret) as s3:
        assert code(s3.put_object, Key="a.csv", Body=b"") == "AccessDenied"
        assert code(s3.put_object, Key=f"{table['s3_path'].rpartition('/')[0]}0/a.csv", Body=b"") == "AccessDenied"
        assert code(s3.list_objects_v2) == "AccessDenied"


def test_who_does_not_sign_is_refused(emulator, make):
    make()
    opener = build_opener(ProxyHandler({}))
    with pytest.raises(OSError, match="403"):
        opener.open(f"{emulator.s3_url}/{IMPORT_BUCKET}/a.csv")


def test_a_body_that_was_signed_as_another_is_refused(emulator, make):
    """Somebody in between who changes the query."""
    table = make()
    with signing(emulator, *keys_of(table)) as s3:

        def change(request, **_):
            request.url += "?acl"

        s3.meta.events.register("before-send.s3.PutObject", change)
        assert code(s3.put_object, Key=f"{table['s3_path']}/a.csv", Body=b"x") == "SignatureDoesNotMatch"


def test_for_tests_any_keys_may_do(emulator, make):
    table = make(s3_credentials="any")
    with signing(emulator, "any", "any") as s3:
        assert code(s3.put_object, Key=f"{table['s3_path']}/a.csv", Body=b"customerId\n1\n") == ""


PARTS = {
    "all": ["", "", ""],
    "get_put_only": ["MethodNotAllowed"],
    "no_create": ["AccessDenied"],
    "no_part": ["", "AccessDenied"],
    "no_complete": ["", "", "AccessDenied"],
    "no_abort": ["", "", ""],
    "no_head": ["", "", ""],
    "no_if_none_match": ["", "", ""],
}


@pytest.mark.parametrize("permissions", PARTS)
def test_of_the_operations_one_may_be_refused_and_get_and_put_never(emulator, make, permissions):
    table = make(s3_permissions=permissions)
    path = table["s3_path"]
    with signing(emulator, *keys_of(table)) as s3:
        assert in_parts(s3, f"{path}/parts.csv") == PARTS[permissions]
        assert code(s3.put_object, Key=f"{path}/a.csv", Body=b"customerId\n1\n") == ""
        assert code(s3.get_object, Key=f"{path}/a.csv") == ""
        refused = {"no_head": "403", "get_put_only": "405"}.get(permissions, "")
        assert code(s3.head_object, Key=f"{path}/a.csv") == refused
        conditional = code(s3.put_object, Key=f"{path}/b.csv", Body=b"customerId\n1\n", IfNoneMatch="*")
        assert conditional == ("NotImplemented" if permissions == "no_if_none_match" else "")
        emulator.state.switches = Switches()
        upload = s3.create_multipart_upload(Bucket=IMPORT_BUCKET, Key=f"{path}/c.csv")["UploadId"]
        emulator.state.switches = Switches(s3_permissions=permissions)
        refused = {"no_abort": "AccessDenied", "get_put_only": "MethodNotAllowed"}.get(permissions, "")
        assert code(s3.abort_multipart_upload, Key=f"{path}/c.csv", UploadId=upload) == refused


@pytest.mark.parametrize("after", ["keep", "remove", "move"])
def test_an_object_may_be_gone_once_it_is_imported(emulator, make, after):
    table = make(object_after_import=after)
    key = f"{table['s3_path']}/a.csv"
    with signing(emulator, *ALL) as s3:
        s3.put_object(Bucket=IMPORT_BUCKET, Key=key, Body=b"customerId\n1\n")
        assert code(s3.head_object, Key=key) == ("" if after == "keep" else "404")
        assert code(s3.head_object, Key=f"imported/{key}") == ("" if after == "move" else "404")
    assert [upload.status for upload in emulator.state.uploads] == ["completed"]
    assert set(emulator.state.tables[table["id"]].profiles) == {"1"}


@pytest.mark.parametrize("too_large", ["failed", "s3", "ignored"])
def test_a_file_that_is_too_large_is_not_imported(emulator, make, caller, too_large):
    table = make(import_limit_bytes=13, too_large=too_large)
    path = table["s3_path"]
    with signing(emulator, *ALL) as s3:
        said = "EntityTooLarge" if too_large == "s3" else ""
        assert code(s3.put_object, Key=f"{path}/a.csv", Body=b"customerId\n1\n") == said
        assert in_parts(s3, f"{path}/b.csv")[-1] == said
        assert code(s3.put_object, Key=f"{path}/c.csv", Body=b"customerId\n") == ""
    told = [entry["status"] for entry in caller(emulator.state).control("uploads")]
    assert told == (["failed", "failed", "completed"] if too_large == "failed" else ["completed"])


@pytest.mark.parametrize("shown", ["both", "null", "empty", "access_key_only"])
def test_a_table_may_show_no_keys(make, shown):
    told = [bool(key) for key in keys_of(make(table_keys=shown))]
    assert told == {"both": [True, True], "access_key_only": [True, False]}.get(shown, [False, False])


@pytest.mark.parametrize("form", ["ids", "opaque", "slashes", "null"])
def test_a_path_has_a_form_that_nobody_documents(emulator, make, form):
    table = make(s3_path=form)
    ids = f"dcp/{table['dcp_service_id']}/{table['id']}"
    if form == "opaque":
        assert table["s3_path"].startswith("dcp/x")
    else:
        assert table["s3_path"] == {"ids": ids, "slashes": f"/{ids}/", "null": None}[form]
    with signing(emulator, *keys_of(table)) as s3:
        path = emulator.state.tables[table["id"]].path
        assert code(s3.put_object, Key=f"{path}/a.csv", Body=b"customerId\n1\n") == ""
        assert code(s3.head_object, Key=f"{path}/a.csv") == ""
    assert json.dumps(table)
    assert set(emulator.state.tables[table["id"]].profiles) == {"1"}
