"""One import of several files that several workers upload: listed once, sent side by side, completed together."""

import csv
from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.contract.wire.errors import DataError, S3Trouble, SettingsError
from optimove_provider.loads.dcp.invalidation import OverwritesNewer
from optimove_provider.loads.ledger.lease import LeaseLost, TargetBusy, release_of
from optimove_provider.loads.sharded.files import FilesOfAnotherPlan, FilesShard, ShardNotSent, plan_files
from optimove_provider.loads.state.journal import Stage
from optimove_provider.loads.upload.uploads import MIN_FILE_BYTES
from tests.support import s3_target
from tests.support.dcp_imports import break_off, full
from tests.support.optix_target import Killed
from tests.support.s3_target import Calls, many, rows_of
from tests.support.workers.files_target import Files

pytestmark = pytest.mark.any_version

A = "customerId,ltv\n1,2.5\n2,\n"
B = "customerId,ltv\n3,7\n"
C = "customerId,ltv\n4,1\n5,2\n6,3\n"
BAD = "customerId,ltv\n7,much\n8,1\n"

s3, target = s3_target.s3, s3_target.target  # fixtures


@pytest.fixture
def files(target):
    return Files(target, a=A, b=B, c=C)


def killed(*_):
    raise Killed


def test_all_files_are_completed_together_and_accounted_for_as_one_load(files):
    shards = files.plan()
    assert [(one.number, one.of) for one in shards] == [(1, 3), (2, 3), (3, 3)]
    told = [files.upload(one) for one in reversed(shards)]
    assert [(one["state"], one["rows"], one["rejected"]) for one in told] == [
        ("sent", 3, 0), ("sent", 1, 0), ("sent", 2, 0),
    ]  # fmt: skip
    assert files.stored() == []
    assert len(files.target.open_uploads()) == 3
    assert files.holder.is_reserved
    report = files.commit()
    assert files.stored() == [A, B, C]
    assert (report.state, report.rows, report.accepted, report.unsent) == ("uploaded", 6, 6, 0)
    assert set(report.s3_keys) == set(files.target.stored())
    assert files.holder is None
    assert files.give_up() is False
    assert files.target.ledger.read().version > 0


def test_nothing_is_completed_while_a_file_is_missing(files):
    first, second, third = files.plan()
    files.upload(first)
    files.upload(third)
    with pytest.raises(ShardNotSent, match=r"of 1 shard \(map index 1\).*: b\. Nothing of the load is visible"):
        files.commit()
    assert files.stored() == []
    files.upload(second)
    files.read.clear()
    assert files.commit(try_number=2).accepted == 6
    assert files.read == []


def test_a_file_with_a_bad_row_fails_its_upload_and_what_is_given_up_is_aborted(files):
    files.files["b"] = BAD
    first, second, third = files.plan()
    files.upload(first)
    with pytest.raises(DataError, match=r"(?s)b: 2 rows.*much"):
        files.upload(second)
    files.upload(third)
    assert files.give_up() is True
    report = files.report
    assert (report.state, report.rows, report.accepted) == ("failed", 5, 0)
    assert "2 of 3 shards had been checked and sent. 1 shard was refused: b: 2 rows" in report.problem
    assert (files.stored(), files.target.open_uploads(), files.holder) == ([], [], None)
    for task in (lambda: files.upload(second), files.commit):
        with pytest.raises(FilesOfAnotherPlan, match=r"it was given up.*Clear the whole group"):
            task()


@pytest.mark.parametrize("most", [1, 2, 0.2, 0.25, None])
def test_rejected_rows_are_judged_over_all_files(files, most):
    files.files |= {"b": BAD, "c": "customerId,ltv\n9,x\n10,1\n11,1\n12,1\n"}
    shards = files.plan(on_invalid="split", max_rejected=most)
    for one in shards:
        files.upload(one)
    if most in (1, 0.2):  # 2 of 8 rows
        with pytest.raises(DataError, match="2 of 8 rows are invalid, and max_rejected allows"):
            files.commit()
        assert (files.stored(), files.target.open_uploads()) == ([], [])
        with pytest.raises(ShardNotSent, match="map index 0, 1, 2"):
            files.commit(try_number=2)
        return
    report = files.commit()
    assert (report.rows, report.accepted, report.rejected) == (8, 6, 2)
    assert report.reasons == {"double": 2}
    assert [len(text.splitlines()) - 1 for text in files.stored()] == [2, 1, 3]
    with open(report.rejected_file.removeprefix("file://"), newline="") as rejected:
        header, *rows = csv.reader(rejected)
    assert header[3:] == ["customerId", "ltv"]
    assert [(row[0], row[2].split(":")[0], *row[3:]) for row in rows] == [("1", "b", "7", "much"), ("1", "c", "9", "x")]


def test_an_upload_of_more_rejected_rows_than_any_load_may_have_fails_at_once(files):
    files.files["b"] = "customerId,ltv\n" + "".join(f"{row},x\n" for row in range(5))
    with pytest.raises(DataError, match="5 of 5 rows are invalid, and max_rejected allows 3"):
        files.upload(files.plan(on_invalid="split", max_rejected=3)[1])


def test_ids_are_compared_across_files_as_in_one_pass(target, files):
    files.files |= {"a": "customerId,ltv\nabc,1\nb,1\n", "b": "customerId,ltv\nABC,1\n", "c": "customerId,ltv\nabc,2\n"}
    for one in files.plan():
        files.upload(one)
    report = files.commit()
    alone = s3_target.Target(target.s3, target.folder)
    once = alone.run(rows_of(*(batch for name in "abc" for batch in files.batches(name))))
    assert report.warnings == once.warnings == {"id-case": 1, "id-duplicate": 1}
    found = [target.staging.read(f"reports/{one.load_id}-findings.json") for one in (report, once)]
    sharded, single = (
        [(one["row"], one["rule"], one["value"], one["message"]) for one in each["findings"]] for each in found
    )
    assert sharded == single != []
    assert any("id-duplicate 1" in note for note in report.notes)


def test_files_of_other_columns_are_refused_before_anything_is_visible(files):
    files.files["b"] = "customerId,note\n3,x\n"
    for one in files.plan():
        files.upload(one)
    with pytest.raises(DataError, match="source 'b' has other columns than 'a': 'ltv', 'note' are in one of them"):
        files.commit()
    assert (files.stored(), files.target.open_uploads()) == ([], [])


def test_columns_may_come_in_another_order(files):
    files.files["b"] = "ltv,customerId\n7,3\n"
    for one in files.plan():
        files.upload(one)
    assert files.commit().accepted == 6


def test_no_rows_are_no_files(files):
    files.files = dict.fromkeys("ab", "customerId,ltv\n")
    for one in files.plan():
        files.upload(one)
    report = files.commit()
    assert (report.state, report.rows, files.stored()) == ("nothing_to_send", 0, [])


def test_a_killed_upload_is_resumed_by_its_retry_and_sends_what_is_missing(target):
    files = Files(target, a="customerId,ltv,since,note\na,1,,\nb,,,\n", b=b"".join(many(200_000)).decode())
    first, second = files.plan()
    files.upload(first)
    with Calls(target.s3, "UploadPart", lambda count: count < 2 or killed()), pytest.raises(Killed):
        files.upload(second)
    files.read.clear()
    with Calls(target.s3, "UploadPart") as parts:
        files.upload(second, try_number=2)
    assert files.read == ["b"]
    assert parts.count == 2
    report = files.commit()
    assert (report.accepted, len(files.stored())) == (200_002, 2)


def test_a_file_may_become_several(target):
    files = Files(target, a=b"".join(many(200_000)).decode(), b="customerId,ltv,since,note\nb,,,\n")
    for one in files.plan(max_file_bytes=MIN_FILE_BYTES):
        files.upload(one)
    report = files.commit()
    assert len(report.s3_keys) == 3
    assert report.accepted == 200_001


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_that_is_killed_is_finished_by_its_retry_without_a_look_at_the_source(files, number, when):
    for one in files.plan():
        files.upload(one)
    files.read.clear()
    with (
        Calls(files.target.s3, "CompleteMultipartUpload", lambda count: count < number or killed(), when),
        pytest.raises(Killed),
    ):
        files.commit()
    assert files.journal.stage is Stage.PREPARED
    assert files.upload(files.plan_of(2))["state"] == "sent before"
    report = files.commit()
    assert (files.stored(), report.accepted, files.read) == ([A, B, C], 6, [])


def test_uploads_that_are_cleared_after_the_commit_do_nothing(files):
    shards = files.plan()
    for one in shards:
        files.upload(one)
    files.commit()
    files.read.clear()
    assert files.upload(shards[0])["state"] == "sent before"
    assert files.read == []
    assert files.commit().accepted == 6
    assert len(files.stored()) == 3


def test_an_upload_that_is_cleared_before_the_commit_reads_its_file_again(files):
    shards = files.plan()
    for one in shards:
        files.upload(one)
    files.files["b"] = B.replace("7", "8")
    files.upload(shards[1])
    files.commit()
    assert files.stored() == [A, B.replace("7", "8"), C]


def test_what_another_try_of_an_upload_has_sent_since_is_not_completed(files):
    shards = files.plan()
    for one in shards:
        files.upload(one)
    result = files.target.staging.read(f"{shards[1].named}.json")
    files.files["b"] = B.replace("7", "8")
    files.upload(shards[1])
    files.target.staging.write(f"{shards[1].named}.json", result)
    with pytest.raises(ShardNotSent, match="map index 1"):
        files.commit()
    assert files.stored() == []
    files.upload(shards[1])
    assert files.commit().accepted == 6


def test_no_other_load_writes_while_files_are_uploaded(files):
    shards = files.plan()
    with pytest.raises(TargetBusy):
        full(files.another().target, b"customerId,ltv\n1,2\n", 1, None)
    for one in shards:
        files.upload(one)
    files.commit()
    full(files.another().target, b"customerId,ltv\n1,2\n", 1, None)


def test_an_upload_stops_where_the_lease_was_taken_from_its_load(target):
    files = Files(target, a=A, b=b"".join(many(200_000)).decode())
    _, second = files.plan()
    release_of(target.ledger.manifest_file, target.load_id)
    with pytest.raises((LeaseLost, TargetBusy)):
        files.upload(second)


def test_rows_are_as_old_as_the_plan_and_are_refused_where_the_table_has_newer_ones(files):
    for one in files.plan(generation=datetime.now(UTC) - timedelta(days=2)):
        files.upload(one)
    assert release_of(files.target.ledger.manifest_file, files.target.load_id)
    files.let_the_lease_end()
    full(files.another().target, b"customerId,ltv\n1,2\n", 1, None)
    with pytest.raises(OverwritesNewer, match="newer rows of 1 customers, such as"):
        files.commit()
    assert len(files.target.stored()) == 1
    assert files.target.open_uploads() == []


def test_a_lost_upload_is_sent_again_by_clearing_its_task(files):
    shards = files.plan()
    for one in shards:
        files.upload(one)
    files.abort_upload(1)
    with pytest.raises(Exception, match="S3 knows its upload no more"):
        files.commit()
    with pytest.raises(ShardNotSent, match="map index 1"):
        files.commit(try_number=2)
    files.upload(shards[1])
    assert files.commit(try_number=3).accepted == 6
    assert sorted(files.stored()) == sorted([A, B, C])


def test_shards_of_a_plan_before_are_refused(files):
    old = files.plan()[0]
    new = files.plan(try_number=2)[0]
    with pytest.raises(FilesOfAnotherPlan, match="its files were listed anew since"):
        files.upload(old)
    files.upload(new)


def test_files_that_go_up_whole_are_completed_together_too(target):
    target.method = "put"
    files = Files(target, a=A, b=B)
    for one in files.plan():
        files.upload(one)
    assert files.stored() == []
    with Calls(target.s3, "PutObject", lambda count: count < 2 or break_off(count)), pytest.raises(S3Trouble):
        files.commit()
    assert files.commit(try_number=2).accepted == 3
    assert files.stored() == [A, B]


def test_more_files_than_airflow_maps_share_shards():
    names = [str(number) for number in range(2500)]
    shards = [FilesShard("id", "plan", number, 1024) for number in range(1, 1025)]
    assert [name for one in shards for name in one.files(names)] == names
    assert {len(one.files(names)) for one in shards} == {2, 3}


def test_without_a_ledger_or_for_an_instant_no_load_is_shared_out(files):
    report = files.target.report()
    with pytest.raises(SettingsError, match="an import in shards needs a lease"):
        plan_files(files.target.load(b"", report, None), ["a"], timedelta(hours=1))
    with pytest.raises(SettingsError, match="reserved_for="):
        plan_files(files.load(), ["a"], timedelta(seconds=1))


def test_what_is_no_shard_is_refused_by_name():
    with pytest.raises(SettingsError, match="is none: pass what DcpPlanFilesOperator returns"):
        FilesShard.from_json({"rows": 1})
