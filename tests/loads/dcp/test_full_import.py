"""Rows into DCP over real S3: valid ones land whole under a new name, of others nothing does."""

import csv
import gzip
import io
import json
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.contract.wire.errors import DataError, Disagreement, S3Trouble, SettingsError
from optimove_provider.loads.dcp import load
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.upload.file import UploadLost
from optimove_provider.loads.upload.multipart import PART_BYTES
from optimove_provider.loads.upload.uploads import MIN_FILE_BYTES
from optimove_provider.loads.validation.csv_file import CsvFile, check_file
from optimove_provider.records.read.sources import list_batches
from optimove_provider.records.rows import Unread
from optimove_provider.records.validate.validate import Options
from tests.support import s3_target
from tests.support.optix_target import Killed
from tests.support.s3_target import ATTRIBUTES, Calls, Target, many, of, rows_of

VALID = b"customerId,ltv,since\n1,2.5,2026-01-31\n2,,\n"
INVALID = b"customerId,ltv,since\n1,2.5,2026-01-31\n2,much,2026-01-31\n3,1,2026-02-30\n"
LARGE_ROWS = 240_000
LARGE = b"".join(many(LARGE_ROWS))  # three parts


s3, target = s3_target.s3, s3_target.target  # fixtures


def fail(target, source, error=DataError, **options):
    """An import that must fail and leave nothing behind: its report, after a look at what both say."""
    with pytest.raises(error) as caught:
        target.run(source, **options)
    report = caught.value.report
    assert (report.state, report.problem, report.accepted) == ("failed", str(caught.value), 0)
    assert (target.stored(), target.open_uploads()) == ({}, [])
    return report


def test_a_valid_file_lands_whole_under_the_tables_path(target):
    report = target.run(VALID)
    key = f"{target.s3_path}/optimove-{target.load_id}.csv"
    assert target.stored() == {key: VALID}
    assert report.s3_keys == (key,)
    assert (report.state, report.rows, report.accepted, report.unsent) == ("uploaded", 2, 2, 0)


def test_every_load_has_a_name_of_its_own(target, s3, tmp_path):
    other = Target(s3, tmp_path, s3_path=target.s3_path)
    assert target.run(VALID).s3_keys != other.run(VALID).s3_keys
    assert len(target.stored()) == 2


def test_a_large_file_lands_whole_too_in_parts(target):
    with Calls(target.s3, "UploadPart") as parts:
        report = target.run(LARGE)
    assert list(target.stored().values()) == [LARGE]
    assert (parts.count, report.accepted) == (3, LARGE_ROWS)


def test_nothing_is_visible_before_the_last_row_was_checked(target):
    seen = []

    def look(key, rows):
        seen.append((target.stored(), target.open_uploads()))

    report = target.run(LARGE, look)
    assert seen == [({}, [*report.s3_keys])]


def test_an_invalid_file_leaves_the_bucket_empty_and_names_every_place(target):
    report = fail(target, INVALID)
    assert "row 2, line 3, column 'ltv', rule double: value 'much': expected" in report.problem
    assert "row 3, line 4, column 'since', rule date: value '2026-02-30': expected" in report.problem
    assert (report.s3_keys, report.rows, report.unsent) == ((), 3, 3)


def test_a_bad_last_row_aborts_what_has_gone_up(target):
    with Calls(target.s3, "UploadPart") as parts:
        fail(target, LARGE + b"x,bad,2026-01-31,\n")
    assert parts.count


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"ltv\n1\n", "customerId"),
        (b"customerId,LTV\n1,1\n", "column 'LTV'"),
        (b"customerId,ltv\n,1\n", "row 1, line 2, column 'customerId'"),
        (b"customerId,ltv\n1\n", "rule ragged"),
        (b"customerId,LTV,ltv\n1,1,bad\n", "rule double"),
        (b"", "the file is empty"),
    ],
)
@pytest.mark.parametrize("on_invalid", ["fail", "split"])
def test_other_faults_are_found_before_anything_is_visible(target, data, complaint, on_invalid):
    if on_invalid == "fail":
        assert complaint in fail(target, data).problem
    else:
        fail(target, data, on_invalid="split", max_rejected=0)


def test_only_the_first_findings_are_shown_and_the_file_with_all_is_named(target):
    data = b"customerId,ltv\n" + b"".join(b"%d,bad\n" % number for number in range(500))
    report = fail(target, data)
    assert len(report.problem.splitlines()) < 20
    path = f"reports/{report.load_id}-findings.json"
    assert f"All findings: {target.staging.url(path)}" in report.problem
    assert len(target.staging.read(path)["findings"]) == 500


def test_a_column_that_looks_like_personal_data_is_refused_unless_it_is_allowed(target):
    contacts = {"attributes": [Attribute("contact", "string")]}
    data = b"customerId,contact\n" + b"".join(b"%d,ann%d@example.com\n" % (n, n) for n in range(20))
    report = fail(target, data, **contacts)
    assert "columns 'contact' look like personal data" in report.problem
    assert "allow_pii=" in report.problem
    assert "ann1@example.com" not in report.problem
    target.run(data, **contacts, allow_pii=["contact"])
    assert list(target.stored().values()) == [data]


def test_a_column_named_like_personal_data_is_refused_whatever_it_holds(target):
    report = fail(target, b"customerId,phone\n1,5\n", attributes=[Attribute("phone", "long")], on_invalid="split")
    assert "columns 'phone' look like personal data" in report.problem


def test_a_packed_file_with_tabs_goes_up_unpacked_and_with_commas(target):
    packed = gzip.compress(b'customerId\tltv\tsince\n1\t2.5\t2026-01-31\n"a,b"\t\t\n')
    report = target.run(of(packed, "rows.tsv.gz"))
    assert (report.rows, report.s3_keys[0][-4:]) == (2, ".csv")
    assert list(target.stored().values()) == [b'customerId,ltv,since\n1,2.5,2026-01-31\n"a,b",,\n']


DISPUTED = {
    "a space before a quote": b'customerId, "note"\n1, "a"\n',
    "an exponent": b"customerId,ltv\n1,1e5\n",
}


@pytest.mark.parametrize("data", DISPUTED.values(), ids=DISPUTED)
@pytest.mark.parametrize("mode", ["full", "changed"])
def test_what_the_vendor_disputes_is_rewritten_or_if_strict_an_error(target, data, mode):
    def import_it(strict):
        one = Target(target.s3, target.folder)
        report = one.report()
        load.run(one.load(data, report, one.ledger, mode=mode, strict=strict), timedelta(hours=1))
        return one, report

    one, report = import_it(strict=False)
    (stored,) = one.stored().values()
    assert (report.state, stored != data) == ("uploaded", True)
    with pytest.raises(DataError, match=r"[12] errors?, 0 warnings"):
        import_it(strict=True)


def test_if_strict_only_the_disputed_rows_are_split_off(target):
    data = b"customerId,ltv\n1,1e5\n2,2.5\n"
    report = target.run(data, on_invalid="split", max_rejected=1, strict=True)
    assert (report.accepted, report.rejected) == (1, 1)
    assert list(target.stored().values()) == [b"customerId,ltv\n2,2.5\n"]


def test_blank_lines_and_a_byte_order_mark_stay_behind(target):
    target.run(b"\xef\xbb\xbf" + VALID.replace(b"\n2", b"\n\n2"))
    assert list(target.stored().values()) == [VALID]


@pytest.mark.parametrize("source", [b"customerId,ltv,since\n", rows_of()], ids=["header only", "empty list"])
def test_without_rows_nothing_is_uploaded(target, source):
    with Calls(target.s3) as calls:
        report = target.run(source)
    assert (report.state, report.rows, report.s3_keys, calls.count) == ("nothing_to_send", 0, (), 0)


def test_rows_of_a_source_are_written_as_csv(target):
    rows = [
        {"customerId": 1, "ltv": 2.5, "since": datetime(2026, 1, 31), "note": 'a "b", c'},
        {"customerId": 2, "ltv": None, "since": None, "note": None},
    ]
    report = target.run(rows_of(*list_batches(rows)))
    (data,) = target.stored().values()
    assert data == b'customerId,ltv,since,note\n1,2.5,2026-01-31,"a ""b"", c"\n2,,,\n'
    assert (report.state, report.accepted) == ("uploaded", 2)
    findings = target.staging.read(f"reports/{report.load_id}-findings.json")
    assert findings["counts"]["null"] == 3


def test_a_value_without_a_form_in_csv_is_refused_with_its_row_and_column(target):
    rows = list_batches([{"customerId": "1", "ltv": 1.0}, {"customerId": "2", "ltv": float("nan")}])
    assert "row 2, column 'ltv', value nan" in fail(target, rows_of(*rows)).problem


def rejected(report):
    with open(report.rejected_file.removeprefix("file://"), newline="") as file:
        return list(csv.DictReader(file))


def test_split_imports_the_valid_rows_and_keeps_the_others_with_reasons(target):
    report = target.run(INVALID, on_invalid="split", max_rejected=None)
    assert list(target.stored().values()) == [b"customerId,ltv,since\n1,2.5,2026-01-31\n"]
    assert (report.state, report.rows, report.accepted, report.rejected, report.unsent) == ("uploaded", 3, 1, 2, 0)
    first, second = rejected(report)
    assert (first["refused_row"], first["ltv"]) == ("2", "much")
    assert "expected a day of the calendar" in second["refused_because"]


def test_split_numbers_rows_as_the_source_does(target):
    table = pa.table({"customerId": ["1", "2", "3", "4"], "ltv": ["1", "bad", "3", "worse"]})
    floats = pa.record_batch({"customerId": ["5", "6"], "ltv": [float("nan"), 1.0]})
    unread = Unread("7,1,1,1", "4 cells, not 2")
    report = target.run(
        rows_of(*table.to_batches(), floats, unread, *table.to_batches()), on_invalid="split", max_rejected=None
    )
    assert [row["refused_row"] for row in sorted(rejected(report), key=lambda row: int(row["refused_row"]))] == [
        "2",
        "4",
        "5",
        "7",
        "9",
        "11",
    ]
    assert (report.rows, report.accepted, report.rejected) == (11, 5, 6)
    findings = target.staging.read(f"reports/{report.load_id}-findings.json")["findings"]
    assert [one["row"] for one in findings if one["rule"] == "double"] == [2, 4, 9, 11]


@pytest.mark.parametrize(("max_rejected", "passes"), [(2, True), (1, False), (0.7, True), (0.6, False), (0, False)])
def test_split_has_its_limit(target, max_rejected, passes):
    if passes:
        assert target.run(INVALID, on_invalid="split", max_rejected=max_rejected).accepted == 1
    else:
        report = fail(target, INVALID, on_invalid="split", max_rejected=max_rejected)
        assert (report.rejected, len(rejected(report)), report.unsent) == (2, 2, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"on_invalid": "skip"},
        {"max_rejected": 5},
        {"on_invalid": "split", "max_rejected": -1},
        {"max_file_bytes": 10**10},
        {"max_file_bytes": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(target, options):
    with pytest.raises(SettingsError, match=next(reversed(options))):
        target.run(VALID, **options)
    assert target.stored() == {}


def test_a_dry_run_counts_and_uploads_nothing(target):
    with Calls(target.s3) as calls:
        report = target.run(INVALID, on_invalid="split", max_rejected=2, dry_run=True)
    assert (report.state, report.rows, report.accepted, report.rejected, report.unsent) == ("planned", 3, 0, 2, 1)
    assert calls.count == 0


def test_large_files_become_several_that_appear_after_all_rows_were_checked(target):
    seen = []
    report = target.run(LARGE, lambda key, rows: seen.append((key, target.stored())), max_file_bytes=MIN_FILE_BYTES)
    assert [key for key, _ in seen] == list(report.s3_keys)
    assert all(stored == {} for _, stored in seen)
    first, second = (target.stored()[key] for key in report.s3_keys)
    header = LARGE[: LARGE.index(b"\n") + 1]
    assert len(first) <= MIN_FILE_BYTES
    assert second.startswith(header)
    assert first + second.removeprefix(header) == LARGE


def test_a_sample_holds_the_first_and_the_last_row_and_some_between(target):
    samples = {}
    report = target.run(LARGE, samples.__setitem__)
    (rows,) = samples.values()
    assert list(samples) == list(report.s3_keys)
    numbers = [int(row["customerId"]) for row in rows]
    assert 10 < len(set(numbers)) <= 20
    assert {0, LARGE_ROWS - 1} < set(numbers)
    assert all(row["since"] == "2026-01-31" for row in rows)


def break_at(number):
    def spoil(count):
        if count >= number:
            raise EndpointConnectionError(endpoint_url="http://gone")

    return spoil


def test_a_retry_sends_what_is_missing_and_makes_one_object(target):
    with Calls(target.s3, "UploadPart", break_at(2)), pytest.raises(S3Trouble):
        target.run(LARGE)
    assert target.stored() == {}
    recorded = target.staging.read(f"loads/{target.load_id}/upload-1.json")["parts"]
    with Calls(target.s3, "UploadPart") as parts, Calls(target.s3, "CreateMultipartUpload") as begun:
        report = target.run(LARGE)
    assert (parts.count, begun.count) == (3 - len(recorded), 0)
    assert list(target.stored()) == list(report.s3_keys)
    assert list(target.stored().values()) == [LARGE]


def test_a_retry_over_a_source_that_changed_sends_its_present_rows(target):
    with Calls(target.s3, "CompleteMultipartUpload", break_at(1)), pytest.raises(S3Trouble):
        target.run(LARGE, max_file_bytes=MIN_FILE_BYTES)
    Journal(target.staging, target.load_id).unprepared()  # as if it had broken off just before
    shorter = b"".join(many(1000, first=7))
    target.run(shorter)
    assert list(target.stored().values()) == [shorter]
    assert target.open_uploads() == []


@pytest.mark.parametrize("known", [True, False], ids=["the upload is known", "S3 has forgotten the upload"])
def test_an_upload_whose_last_answer_was_lost_is_recognised(target, s3, known):
    def lose_the_answer(count):
        if count == 1:
            record = target.staging.read(f"loads/{target.load_id}/upload-1.json")
            etags = [etag for _, (_, etag) in sorted(record["parts"].items())]
            target.to.bucket.complete(target.to.key(1), record["upload_id"], etags)
            raise Killed

    with Calls(s3, "CompleteMultipartUpload", lose_the_answer), pytest.raises(Killed):
        target.run(VALID)
    if not known:
        path = f"loads/{target.load_id}/upload-1.json"
        target.staging.write(path, {**target.staging.read(path), "upload_id": "forgotten"})
    report = target.run(rows_of("the source is not read again"))
    assert (report.state, report.accepted, report.s3_keys) == ("uploaded", 2, (target.to.key(1),))
    versions = s3.list_object_versions(Bucket=IMPORT_BUCKET, Prefix=target.s3_path)["Versions"]
    assert len(versions) == 1


def test_a_finished_load_is_told_again_not_made_again(target):
    first = target.run(INVALID, on_invalid="split", max_rejected=None)
    with Calls(target.s3) as calls:
        again = target.run(rows_of("the source is not read again"), on_invalid="split", max_rejected=None)
    assert calls.count == 0
    untimed = {"seconds": 0, "began": "", "ended": ""}
    assert again.as_json() | untimed == first.as_json() | untimed


@pytest.mark.parametrize("call", ["UploadPart", "CompleteMultipartUpload"])
def test_an_upload_that_s3_lost_begins_anew(target, call):
    def forget(count):  # moto answers 500 where S3 answers this
        answer = {"Error": {"Code": "NoSuchUpload"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        raise ClientError(answer, call)

    with Calls(target.s3, call, forget), pytest.raises(UploadLost) as caught:
        target.run(VALID)
    assert caught.value.retry_helps
    assert target.run(VALID).state == "uploaded"
    assert list(target.stored().values()) == [VALID]


def test_a_name_that_somebody_else_took_is_left_alone(target, s3):
    s3.put_object(Bucket=IMPORT_BUCKET, Key=target.to.key(1), Body=b"theirs")
    with pytest.raises(Disagreement, match="exists already and is not this load's") as caught:
        target.run(VALID)
    assert caught.value.report.state == "failed"
    assert (list(target.stored().values()), target.open_uploads()) == ([b"theirs"], [])


def test_uploads_of_others_are_never_aborted(target):
    theirs = target.to.bucket.begin(f"{target.s3_path}/theirs.csv", "somebody/1")
    with pytest.raises(DataError):
        target.run(INVALID)
    assert target.open_uploads() == [f"{target.s3_path}/theirs.csv"]
    target.to.bucket.abort(f"{target.s3_path}/theirs.csv", theirs)


def test_staging_holds_no_secret(target):
    target.run(LARGE)
    for path in target.folder.rglob("*"):
        assert path.is_dir() or b"secret-key" not in path.read_bytes()
    record = json.dumps(target.staging.read(f"loads/{target.load_id}/upload-1.json"))
    assert str(PART_BYTES) in record


def test_a_check_alone_gives_the_findings_and_where_they_are(target):
    findings, url = check_file(of(VALID), ATTRIBUTES, Options(strict=True), target.staging, "findings.json")
    assert (findings.rows, findings.errors, url) == (2, 0, target.staging.url("findings.json"))
    assert target.staging.read("findings.json") == findings.as_json()


def test_only_a_strict_check_stops_at_what_the_vendor_contradicts_itself_about(target):
    data, attributes = b"customerId,vip\n1,TRUE\n", [Attribute("vip", "bool")]
    findings, _ = check_file(of(data), attributes, Options(strict=False), target.staging, "findings.json")
    assert (findings.errors, findings.total) == (0, 1)
    with pytest.raises(DataError, match="rule bool"):
        check_file(of(data), attributes, Options(strict=True), target.staging, "findings.json")


def test_a_csv_file_over_a_broken_stream_can_be_taken_up(target):
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > PART_BYTES * 2:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        target.run(CsvFile("rows.csv", lambda: Breaking(LARGE)))
    assert target.open_uploads() == [target.to.key(1)]
    with Calls(target.s3, "UploadPart") as parts:
        target.run(LARGE)
    assert parts.count < 3
    assert list(target.stored().values()) == [LARGE]
