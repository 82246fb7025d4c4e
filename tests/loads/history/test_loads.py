"""What the Sync history knows of loads, from their reports alone."""

import json
import os
from pathlib import Path

import pytest

from optimove_provider.loads.history.loads import BEGUN, LoadIndex, Target, report_of
from optimove_provider.loads.report.begun import tell_begun, writers
from optimove_provider.loads.report.bookkeeping import keep_account
from optimove_provider.loads.report.report import Report

TARGET = {"optix": "uuid", "host": "https://example.com"}
RUN = {"dag_id": "dag", "task_id": "task", "run_id": "run", "map_index": 3, "try_number": 1}


def run_load(staging, load_id, **told):
    report = Report(load_id, TARGET, run=RUN, mode="full")
    tell_begun(staging, report)
    with keep_account(report, staging):
        for name, value in told.items():
            setattr(report, name, value)
    return report


def test_a_load_is_told_by_its_report(any_staging):
    run_load(any_staging, "1", state="committed", rows=3, accepted=2, unchanged=1)
    (load,) = LoadIndex().loads(any_staging)
    assert (load.load_id, load.state, load.mode, load.rows) == ("1", "committed", "full", 3)
    assert load.target == Target("optix", "uuid", "https://example.com")
    assert load.counts == {
        "accepted": 2,
        "rejected": 0,
        "unchanged": 1,
        "stale": 0,
        "deleted": 0,
        "suppressed": 0,
        "unsent": 0,
    }
    assert (load.dag_id, load.task_id, load.run_id, load.map_index) == ("dag", "task", "run", 3)
    assert load.began <= load.ended
    assert any_staging.names("begun") == []


def test_a_load_without_a_report_has_begun_and_so_has_one_that_is_tried_again(staging_on_disk):
    index = LoadIndex()
    tell_begun(staging_on_disk, Report("1", TARGET, run=RUN))
    assert [load.state for load in index.loads(staging_on_disk)] == [BEGUN]
    run_load(staging_on_disk, "1", state="committed")
    assert [load.state for load in index.loads(staging_on_disk)] == ["committed"]
    tell_begun(staging_on_disk, Report("1", TARGET, run=RUN))
    assert [load.state for load in index.loads(staging_on_disk)] == [BEGUN]
    assert report_of(staging_on_disk, "1")["state"] == "committed"


def test_the_newest_comes_first(staging_on_disk):
    for load_id in ("b", "c", "a"):
        run_load(staging_on_disk, load_id)
    assert [load.load_id for load in LoadIndex().loads(staging_on_disk)] == ["a", "c", "b"]


def test_a_report_is_read_again_only_when_it_was_written_again(staging_on_disk):
    index = LoadIndex()
    run_load(staging_on_disk, "1", state="committed")
    index.loads(staging_on_disk)
    path = staging_on_disk.path("reports/1.json")
    about, text = os.stat(path), Path(path).read_text()
    with open(path, "r+") as file:  # in place, and as old as before: as if it were the same
        file.write(text.replace("committed", "COMMITTED"))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert [load.state for load in index.loads(staging_on_disk)] == ["committed"]
    run_load(staging_on_disk, "1", state="failed")
    assert [load.state for load in index.loads(staging_on_disk)] == ["failed"]
    staging_on_disk.remove("reports/1.json")
    assert index.loads(staging_on_disk) == []


def test_a_folder_that_has_not_changed_for_a_while_is_not_listed_again(staging_on_disk):
    index = LoadIndex()
    run_load(staging_on_disk, "1", state="committed")
    folder = staging_on_disk.path("reports")
    os.utime(folder, (1, 1))
    assert len(index.loads(staging_on_disk)) == 1
    staging_on_disk.remove("reports/1.json")
    os.utime(folder, (1, 1))  # as if nothing had happened
    assert len(index.loads(staging_on_disk)) == 1
    run_load(staging_on_disk, "2")
    assert [load.load_id for load in index.loads(staging_on_disk)] == ["2"]


def test_what_is_no_report_hides_no_other(staging_on_disk):
    run_load(staging_on_disk, "1")
    for name, text in (("torn", '{"load_id": "2", "st'), ("list", "[]"), ("odd", '{"load_id": "3", "rows": "many"}')):
        staging_on_disk.write_text(f"reports/{name}.json", text)
    assert [load.load_id for load in LoadIndex().loads(staging_on_disk)] == ["1"]


@pytest.mark.parametrize("missing", ["run", "mode", "began", "ended", "generation", "batch_uuid", "ledger_version"])
def test_older_reports_tell_less(staging_on_disk, missing):
    run_load(staging_on_disk, "1", state="committed")
    told = json.loads(json.dumps(staging_on_disk.read("reports/1.json")))
    del told[missing]
    staging_on_disk.write("reports/1.json", told)
    (load,) = LoadIndex().loads(staging_on_disk)
    assert load.state == "committed"


def test_as_many_are_remembered_as_are_allowed(staging_on_disk):
    for number in range(5):
        run_load(staging_on_disk, str(number))
    assert len(LoadIndex(most=3).loads(staging_on_disk)) == 3


def test_who_ever_wrote_to_a_target_is_remembered_when_the_reports_are_gone(staging_on_disk):
    run_load(staging_on_disk, "1")
    tell_begun(staging_on_disk, Report("2", TARGET, run={**RUN, "dag_id": "other"}))
    tell_begun(staging_on_disk, Report("3", TARGET))
    tell_begun(staging_on_disk, Report("4", {**TARGET, "optix": "another target"}, run={**RUN, "dag_id": "third"}))
    staging_on_disk.remove_folder("reports")
    assert writers(staging_on_disk, TARGET) == {"dag", "other", ""}
