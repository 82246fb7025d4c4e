"""Files into DCP over real S3: valid ones land whole under a new name, of others nothing does."""

import gzip
import io
import threading
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from botocore.exceptions import ClientError
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.s3 import upload
from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.dcp import IMPORT_BUCKET
from optimove_provider.contract.errors import DataError, S3Refused
from optimove_provider.emulator import EmulatorServer
from optimove_provider.loads.checks import CsvFile, checked
from optimove_provider.loads.imports import ImportTarget, import_csv, written_csv
from optimove_provider.loads.report import Report
from optimove_provider.loads.staging import Staging
from optimove_provider.records.csvcheck import Options
from optimove_provider.records.sources import csv_batches, list_batches

ATTRIBUTES = (Attribute("ltv", "double"), Attribute("since", "datetime", "yyyy-mm-dd"))
VALID = b"customerId,ltv,since\n1,2.5,2026-01-31\n2,,\n"
INVALID = b"customerId,ltv,since\n1,2.5,2026-01-31\n2,much,2026-01-31\n3,1,2026-02-30\n"


def of(data: bytes, name: str = "rows.csv") -> CsvFile:
    return CsvFile(name, lambda: io.BytesIO(data))


def s3_client(url):
    return closing(
        boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="AKIA",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
    )


@pytest.fixture(scope="module")
def s3():
    with EmulatorServer() as server, s3_client(server.s3_url) as client:
        yield client


@pytest.fixture
def target(s3):
    return ImportTarget(s3, IMPORT_BUCKET, f"dcp/{uuid.uuid4()}/")


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def stored(target):
    """Every object under the target's path, by key."""
    listed = target.s3.list_objects_v2(Bucket=target.bucket, Prefix=target.s3_path).get("Contents", [])
    keys = [found["Key"] for found in listed]
    return {key: target.s3.get_object(Bucket=target.bucket, Key=key)["Body"].read() for key in keys}


def run(data, target, staging):
    report = Report(str(uuid.uuid4()), {})
    import_csv(of(data), ATTRIBUTES, target, staging, report)
    return report


def fail(data, target, staging, error=DataError):
    """An import that must fail: its report, after a look at what both say."""
    report = Report(str(uuid.uuid4()), {})
    with pytest.raises(error) as caught:
        import_csv(of(data), ATTRIBUTES, target, staging, report)
    assert (report.state, report.problem, report.accepted) == ("failed", str(caught.value), 0)
    return report


def test_a_valid_file_lands_whole_under_the_tables_path(target, staging):
    report = run(VALID, target, staging)
    key = f"{target.s3_path}optimove-{report.load_id}.csv"
    assert stored(target) == {key: VALID}
    assert report.s3_keys == (key,)
    assert (report.state, report.rows, report.accepted, report.unsent) == ("uploaded", 2, 2, 0)


def test_every_load_has_a_name_of_its_own(target, staging):
    first, second = run(VALID, target, staging), run(VALID, target, staging)
    assert len(stored(target)) == 2
    assert first.s3_keys != second.s3_keys


def test_a_large_file_lands_whole_too(target, staging):
    rows = b"".join(b"%d,%d.5,2026-01-31\n" % (number, number) for number in range(500_000))
    data = b"customerId,ltv,since\n" + rows
    report = Report(str(uuid.uuid4()), {})
    upload(target.s3, io.BytesIO(data), target.bucket, f"{target.s3_path}{report.load_id}.csv", len(data))
    assert list(stored(target).values()) == [data]


def test_an_invalid_file_leaves_the_bucket_empty_and_names_every_place(target, staging):
    report = fail(INVALID, target, staging)
    assert stored(target) == {}
    assert "row 2, line 3, column 'ltv', rule double: value 'much': expected" in report.problem
    assert "row 3, line 4, column 'since', rule date: value '2026-02-30': expected" in report.problem
    assert report.s3_keys == ()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"ltv\n1\n", "customerId"),
        (b"customerId,LTV\n1,1\n", "column 'LTV'"),
        (b"customerId,ltv\n,1\n", "row 1, line 2, column 'customerId'"),
        (b"customerId,ltv\n1\n", "rule ragged"),
        (b"", "the file is empty"),
    ],
)
def test_other_faults_are_found_before_anything_is_uploaded(target, staging, data, complaint):
    assert complaint in fail(data, target, staging).problem
    assert stored(target) == {}


def test_only_the_first_findings_are_shown_and_the_file_with_all_is_named(target, staging):
    data = b"customerId,ltv\n" + b"".join(b"%d,bad\n" % number for number in range(500))
    report = fail(data, target, staging)
    assert len(report.problem.splitlines()) < 20
    path = f"reports/{report.load_id}-findings.json"
    assert f"All findings: {staging.url(path)}" in report.problem
    assert len(staging.read(path)["findings"]) == 500


def test_a_column_that_looks_like_personal_data_is_refused_unless_it_is_allowed(target, staging):
    attributes = [Attribute("contact", "string")]
    data = b"customerId,contact\n" + b"".join(b"%d,ann%d@example.com\n" % (n, n) for n in range(20))
    report = Report(str(uuid.uuid4()), {})
    with pytest.raises(DataError, match=r"columns 'contact' look like personal data.*allow_pii=") as caught:
        import_csv(of(data), attributes, target, staging, report)
    assert "ann1@example.com" not in str(caught.value)
    assert stored(target) == {}
    import_csv(of(data), attributes, target, staging, report, allow_pii=["contact"])
    assert list(stored(target).values()) == [data]


def test_a_column_named_like_personal_data_is_refused_whatever_it_holds(target, staging):
    report = Report(str(uuid.uuid4()), {})
    with pytest.raises(DataError, match="columns 'phone' look like personal data"):
        import_csv(of(b"customerId,phone\n1,5\n"), [Attribute("phone", "long")], target, staging, report)
    assert stored(target) == {}


def test_a_packed_file_with_tabs_goes_up_unpacked_and_with_commas(target, staging):
    packed = gzip.compress(b'customerId\tltv\tsince\n1\t2.5\t2026-01-31\n"a,b"\t\t\n')
    report = Report(str(uuid.uuid4()), {})
    import_csv(of(packed, "rows.tsv.gz"), ATTRIBUTES, target, staging, report)
    assert (report.rows, report.s3_keys[0][-4:]) == (2, ".csv")
    assert list(stored(target).values()) == [b'customerId,ltv,since\n1,2.5,2026-01-31\n"a,b",,\n']


def test_a_file_with_a_header_only_uploads_nothing(target, staging):
    report = run(b"customerId,ltv,since\n", target, staging)
    assert (report.state, report.rows, report.s3_keys, stored(target)) == ("nothing_to_send", 0, (), {})


class Refusing(BaseHTTPRequestHandler):
    """Answers as S3 does when the keys may not write there; the emulator's S3 takes any keys."""

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def test_keys_that_s3_refuses_are_named_as_such(staging):
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            with s3_client(f"http://127.0.0.1:{server.server_port}") as client:
                report = fail(VALID, ImportTarget(client, IMPORT_BUCKET, "dcp/1/2"), staging, S3Refused)
        finally:
            server.shutdown()
            thread.join()
    assert f"s3://optimizely-import/dcp/1/2/optimove-{report.load_id}.csv: " in report.problem
    assert "AccessDenied" in report.problem
    assert report.unsent == 2


def test_another_refusal_passes_as_it_is(s3, staging):
    report = fail(VALID, ImportTarget(s3, "no-such-bucket", "dcp/1/2"), staging, ClientError)
    assert "NoSuchBucket" in report.problem


def test_written_rows_are_a_file_that_can_be_opened_again_and_then_is_gone():
    with written_csv(list_batches([{"customerId": "1", "ltv": 2.5}])) as open_csv:
        for _ in range(2):
            with open_csv() as stream:
                read = stream.read()
        assert read == b"customerId,ltv\n1,2.5\n"
    with pytest.raises(FileNotFoundError):
        open_csv()


def test_rows_are_imported_as_they_were_read(target, staging):
    report = Report(str(uuid.uuid4()), {})
    with written_csv(csv_batches(io.BytesIO(VALID), "rows.csv")) as open_csv:
        import_csv(CsvFile("the query", open_csv), ATTRIBUTES, target, staging, report)
    assert list(stored(target).values()) == [VALID]


def test_a_check_alone_gives_the_findings_and_where_they_are(staging):
    findings, url = checked(of(VALID), ATTRIBUTES, Options(strict=True), staging, "findings.json")
    assert (findings.rows, findings.errors, url) == (2, 0, staging.url("findings.json"))
    assert staging.read("findings.json") == findings.as_json()


def test_only_a_strict_check_stops_at_what_the_vendor_contradicts_itself_about(staging):
    data, attributes = b"customerId,vip\n1,TRUE\n", [Attribute("vip", "bool")]
    findings, _ = checked(of(data), attributes, Options(strict=False), staging, "findings.json")
    assert (findings.errors, findings.total) == (0, 1)
    with pytest.raises(DataError, match="rule bool"):
        checked(of(data), attributes, Options(strict=True), staging, "findings.json")
