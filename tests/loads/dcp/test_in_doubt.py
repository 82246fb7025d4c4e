"""Files that may still be imported, or never will: what they mean for later loads, and for their own retries."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from optimove_provider.clients.s3 import Bucket, UploadGone
from optimove_provider.contract.dcp.config import UPLOAD_HISTORY
from optimove_provider.contract.dcp.profiles import READ_PROFILE
from optimove_provider.contract.dcp.readback import READ_BACK, UNCHANGED_BEFORE
from optimove_provider.contract.dcp.upload_history import HistoryEntry, common_state
from optimove_provider.contract.wire.errors import AuthenticationError, S3Refused, succeed
from optimove_provider.contract.wire.messages import Response
from optimove_provider.loads.dcp.in_doubt import InDoubtFiles, StillImporting, UploadConflict
from optimove_provider.loads.dcp.load import ImportFailed, confirm, run
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, LeaseLost
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.file import UploadLost
from optimove_provider.loads.upload.multipart import MultipartRefused
from optimove_provider.loads.upload.uploads import MIN_FILE_BYTES
from tests.support import s3_target
from tests.support.dcp_imports import WAIT, another, break_off, dead_full_import, full, load
from tests.support.ledgers import TARGET, ledger_rows, let_lease_end
from tests.support.optix_target import Killed
from tests.support.s3_target import Calls, imported, many

ONE = b"customerId,ltv\n1,1\n"
TWO_FILES = b"".join(many(200_000))


s3, target = s3_target.s3, s3_target.target  # fixtures


def day(number):
    return datetime(2025, 11, number, tzinfo=UTC)


def changed(target, data, outcome_of=imported, **options):
    report = target.report()
    how = {"mode": "changed", "max_file_bytes": MIN_FILE_BYTES, "outcome_of": outcome_of, **options}
    run(target.load(data, report, target.ledger, **how), WAIT)
    return report


def history_of(*entries):
    """A history of so much."""
    known = {entry.file: entry for entry in entries}

    def ask(keys):
        return common_state([known[key] for key in keys if key in known], [key for key in keys if key not in known])

    return ask


def refuse(_):
    answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    raise ClientError(answer, "CompleteMultipartUpload")


def fails(*_):
    raise OSError("No space left on device")


@pytest.mark.parametrize("second", [None, "processing"], ids=["not in the history", "processing"])
@pytest.mark.parametrize("mode", ["full", "changed"])
def test_of_two_files_one_failed_and_the_other_is_open_still(target, mode, second):
    if mode == "full":
        report = full(target, TWO_FILES, 1, day(1), max_file_bytes=MIN_FILE_BYTES)
    else:
        report = changed(target, TWO_FILES)
    first, other = report.s3_keys
    ask = history_of(
        HistoryEntry(first, "completed", 10, 1, "row 2 is odd"), *([HistoryEntry(other, second)] if second else [])
    )
    with pytest.raises(ImportFailed, match="row 2 is odd"):
        confirm(target.staging, report, ask(report.s3_keys), 1)
    assert (report.state, report.accepted) == ("failed", 0)
    with pytest.raises(StillImporting, match=other):
        changed(another(target), ONE, ask)
    done = history_of(HistoryEntry(first, "completed", 10, 1), HistoryEntry(other, "completed"))
    assert changed(another(target), ONE, done).state == "uploaded"


def test_a_file_of_which_no_profile_shows_anything_counts_as_unknown_and_open_for_a_while(target):
    report = changed(target, ONE)
    silent = history_of(HistoryEntry(report.s3_keys[0], "completed", None, None, evidence=UNCHANGED_BEFORE))
    confirm(target.staging, report, silent(report.s3_keys), 1)
    assert (report.state, report.accepted, ledger_rows(target.ledger)['"1"']["fingerprint"]) == (
        "uploaded",
        1,
        None,
    )
    assert any("nothing shows whether the files are imported" in note for note in report.notes)
    with pytest.raises(StillImporting):
        changed(another(target), ONE, silent)
    path = f"{target.ledger.manifest_file.folder}/in-doubt/{target.load_id}.json"
    long_ago = (datetime.now(UTC) - timedelta(hours=13)).isoformat()
    target.staging.write(path, {**target.staging.read(path), "recorded": long_ago})
    other = another(target)
    report = changed(other, ONE, silent)
    shown = history_of(HistoryEntry(report.s3_keys[0], "completed", None, None, evidence=READ_BACK))
    confirm(target.staging, report, shown(report.s3_keys), 1)
    assert (report.state, ledger_rows(target.ledger)['"1"']["fingerprint"] is None) == ("committed", False)


def test_that_profiles_cannot_be_read_is_an_answer_and_no_other_error_is(staging_on_disk):
    def asked(outcome_of, told):
        with pytest.raises((StillImporting, AuthenticationError), match=told) as caught:
            files.resolve_others("b", outcome_of, lambda _: ())
        return caught.type

    def refused_by(endpoint):
        return lambda _: succeed(endpoint, Response(403))

    files = InDoubtFiles(Ledger(staging_on_disk, TARGET))
    files.record("a", ["a.csv"])
    assert asked(refused_by(UPLOAD_HISTORY), "403") is AuthenticationError
    told = r"this one's: a\.csv: unseen \(unreadable\): profiles cannot be read: .*403"
    assert asked(refused_by(READ_PROFILE), told) is StillImporting
    assert asked(history_of(), r"this one's: a\.csv\. Nothing was sent") is StillImporting
    files.resolve_others("a", history_of(), lambda _: ())
    files.resolve_others("b", history_of(), lambda _: ["a.csv"])


def test_after_an_upload_that_was_refused_and_aborted_a_cleared_task_can_load(target):
    with Calls(target.s3, "CompleteMultipartUpload", refuse), pytest.raises(MultipartRefused):
        changed(target, ONE, history_of())
    assert (target.open_uploads(), target.stored()) == ([], {})
    assert changed(another(target), ONE, history_of()).state == "uploaded"


def test_a_full_import_that_died_unseen_and_was_cleared_holds_nobody_up(target):
    dead_full_import(target, ONE)
    assert changed(another(target), ONE, history_of()).state == "uploaded"


def test_nobody_waits_longer_than_thirty_days(target):
    full(target, ONE, 1, day(1))
    with pytest.raises(StillImporting):
        changed(another(target), ONE, history_of())
    folder = target.staging.path(f"{target.ledger.manifest_file.folder}/in-doubt")
    long_ago = time.time() - 31 * 86_400
    for name in os.listdir(folder):
        os.utime(f"{folder}/{name}", (long_ago, long_ago))
    assert changed(another(target), ONE, history_of()).state == "uploaded"


def test_a_retry_of_a_full_import_that_was_visible_makes_nothing_known_unknown(target, monkeypatch):
    """Its answer was lost; a newer load was committed before the retry."""

    def lost(self, *_):
        complete(self, *_)
        break_off(1)

    complete = Bucket.complete
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "complete", lost)
        with pytest.raises(EndpointConnectionError):
            full(target, ONE, 1, day(1))
    let_lease_end(target.ledger)
    load(another(target), b"customerId,ltv\n1,9\n", source_is="delta", generation=day(9))
    assert full(target, b"", 2, day(1)).state == "uploaded"
    report = load(another(target), b"customerId,ltv\n1,5\n", source_is="delta", generation=day(5))
    assert (report.accepted, report.stale) == (0, 1)


@pytest.mark.parametrize("step", ["vacuum", "compact"])
def test_a_ledger_that_cannot_be_tidied_is_no_failure_of_the_load(target, monkeypatch, caplog, step):
    monkeypatch.setattr(compaction, step, fails)
    report = changed(target, ONE)
    confirm(target.staging, report, imported(report.s3_keys), 1)
    assert (report.state, report.accepted) == ("committed", 1)
    assert full(another(target), ONE, 1, datetime.now(UTC)).state == "uploaded"
    assert "was not tidied" in caplog.text


def test_a_death_right_after_the_commit_and_then_another_load_leave_the_retry_nothing_but_to_say_so(
    target, monkeypatch
):
    def die(*_):
        raise Killed

    report = changed(target, ONE, generation=day(1))
    with monkeypatch.context() as patch:
        patch.setattr(compaction, "maintain", die)
        with pytest.raises(Killed):
            confirm(target.staging, report, imported(report.s3_keys), 1)
    load(another(target), b"customerId,ltv\n3,1\n", generation=day(2), source_is="delta")
    report = changed(target, b"", try_number=2, generation=day(1))
    confirm(target.staging, report, imported(report.s3_keys), 1)
    assert (report.state, report.accepted, sorted(ledger_rows(target.ledger))) == ("committed", 1, ['"1"', '"3"'])


def test_a_load_that_others_have_overtaken_says_so_at_once_and_is_not_tried_again(target):
    """Whether it is noticed as its import is confirmed, or by a retry."""
    report = changed(target, ONE, generation=day(1))
    let_lease_end(target.ledger)
    load(another(target), b"customerId,ltv\n3,1\n", generation=day(2), source_is="delta", assume_settled=True)
    for late in (
        lambda: confirm(target.staging, report, imported(report.s3_keys), 1),
        lambda: changed(target, ONE, try_number=2, generation=day(1)),
    ):
        with pytest.raises(UploadConflict, match="others have changed the table's ledger since") as raised:
            late()
        assert not raised.value.retry_helps
    assert sorted(ledger_rows(target.ledger)) == ['"1"', '"3"']
    assert ledger_rows(target.ledger)['"1"']["fingerprint"] is None


def test_an_upload_of_which_staging_lost_the_record_is_made_anew(target, monkeypatch):
    """S3 knows it no more, and the process dies between forgetting it and forgetting that it was complete."""

    def gone(self, key, *_):
        raise UploadGone(key)

    def write(self, path, content):
        if path.endswith("load.json") and content["stage"] == "sending":
            raise Killed
        return written(self, path, content)

    written = Staging.write
    dead_full_import(target, ONE)
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "complete", gone)
        patch.setattr(Staging, "write", write)
        with pytest.raises(Killed):
            full(target, ONE, 2, day(1))
    with pytest.raises(UploadLost, match="A retry begins anew"):
        full(target, ONE, 2, day(1))
    assert full(target, ONE, 2, day(1)).state == "uploaded"
    assert list(target.stored()) == [target.to.key(1)]


def test_a_lease_that_is_lost_between_two_files_costs_no_second_reading(target, monkeypatch):
    calls = []

    def check(self):
        calls.append(self)
        if len(calls) == 3:  # each file asks twice
            raise LeaseLost("lost")

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "check", check)
        with pytest.raises(LeaseLost):
            full(target, TWO_FILES, 1, day(1), max_file_bytes=MIN_FILE_BYTES)
    report = full(target, b"never read again", 2, day(1))
    assert (report.state, report.accepted, len(target.stored())) == ("uploaded", 200_000, 2)


def test_keys_that_may_write_and_not_look_do(target, monkeypatch):
    def refused(self, key):
        raise S3Refused("403")

    monkeypatch.setattr(Bucket, "find", refused)
    dead_full_import(target, ONE)
    load(another(target), b"customerId,ltv\n1,2\n")
    assert full(target, b"", 2, day(1)).state == "nothing_to_send"
