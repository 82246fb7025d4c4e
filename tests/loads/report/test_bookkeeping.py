"""A report that cannot be written: the load's own error stays the one raised, and what was done is not done again.

Kinds of public reports: a task whose log could not be uploaded lost the error it had failed of; a job that retried for
ever because writing its "failed" marker raised; a sync that ran twice since its last step met a full disk.
"""

from pathlib import Path

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.contract.wire.errors import AuthenticationError, DataError, Disagreement
from optimove_provider.emulator import Fault
from optimove_provider.loads.optix.create_connection import create_once
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.bookkeeping import ReportNotWritten, keep_account, run_once
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.validation.csv_file import CsvFile, check_file
from optimove_provider.records.key import Key
from optimove_provider.records.validate.validate import Options
from tests.support.optix_target import Target

ROWS = [{"id": "1"}, {"id": "2"}]
BATCH = pa.RecordBatch.from_pylist(ROWS)


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path / "staging"))


def take_no_reports(staging):
    """Whatever is to be written under `reports` fails from now on."""
    folder = Path(staging.path("reports"))
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    return folder


def test_the_error_of_a_load_is_not_replaced_by_that_of_its_report(tmp_path):
    target = Target(tmp_path)
    take_no_reports(target.staging)
    target.state.faults.order(Fault("upload_data", status=401, times=9))
    with pytest.raises(AuthenticationError) as told:
        target.load([BATCH])
    assert not told.value.retry_helps
    assert "to write the report failed as well" in "".join(told.value.__notes__)


def test_after_a_success_a_retry_writes_the_report_and_sends_nothing(tmp_path):
    target = Target(tmp_path)
    in_the_way = take_no_reports(target.staging)
    with pytest.raises(ReportNotWritten, match=r"is through \(2 rows: 2 accepted.*sends nothing again") as told:
        target.load([BATCH])
    assert told.value.retry_helps
    sent = len(target.bodies)
    with pytest.raises(ReportNotWritten):
        target.load([BATCH])
    in_the_way.unlink()
    assert target.load([BATCH]).state == "committed"
    assert (len(target.bodies), target.staging.read("reports/" + target.report.load_id + ".json")["accepted"]) == (
        sent,
        2,
    )


def test_too_many_rejected_rows_stay_the_error_of_a_finished_load(staging):
    report, journal = Report("load", {}, "committed"), Journal(staging, "load")
    journal.finish(report.as_json())
    take_no_reports(staging)

    def judge():
        raise DataError("too many rows were rejected")

    with pytest.raises(DataError, match="too many"), run_once(report, journal, judge):
        pass


def test_records_that_were_sent_one_by_one_are_not_sent_again_for_the_report(staging):
    take_no_reports(staging)
    sent = []
    with pytest.raises(ReportNotWritten, match="do not run the task again") as told:
        RestLoad(staging, Report("load", {})).run(ROWS, lambda record, _: record, lambda one, _: sent.append(one))
    assert (sent, told.value.retry_helps) == (ROWS, False)


def test_their_own_error_stays_too(staging):
    take_no_reports(staging)

    def refuse(*_):
        raise PermissionError("the key was revoked")

    with pytest.raises(PermissionError, match="revoked"):
        RestLoad(staging, Report("load", {})).run(ROWS, lambda record, _: record, refuse)


def test_a_dry_run_whose_report_cannot_be_written_says_so(staging):
    take_no_reports(staging)
    with pytest.raises(ReportNotWritten, match="a retry of the task writes it"), keep_account(Report("1", {}), staging):
        pass


@pytest.mark.parametrize(("text", "error"), [(b"id\n1\n\n,\n", DataError), (b"id\n1\n", OSError)])
def test_findings_that_cannot_be_written_hide_no_faults(staging, tmp_path, text, error):
    take_no_reports(staging)
    path = tmp_path / "in.csv"
    path.write_bytes(text)
    file = CsvFile("in.csv", lambda: path.open("rb"))
    with pytest.raises(error) as told:
        check_file(file, None, Options(key=Key.of_optix("id")), staging, "reports/findings.json")
    assert error is OSError or "All findings: not written (" in str(told.value)


def test_a_connection_that_was_created_is_not_lost_when_staging_cannot_be_told(tmp_path, monkeypatch):
    target = Target(tmp_path)

    def refuse(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(Staging, "write", refuse)
    with pytest.raises(Disagreement, match="data_connection_uuid=") as told:
        create_once(target.client, target.staging, "more customers", "id")
    assert list(target.state.connections)[-1] in str(told.value)
    assert not told.value.retry_helps
