"""Profiles that cannot be read: the upload goes on, and report, wait and later loads say what was not seen, and why."""

from datetime import timedelta
from html import unescape

import pytest

from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.contract.wire.errors import AuthenticationError, DataError, Refused, ServerTrouble
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.loads.dcp.in_doubt import StillImporting
from optimove_provider.loads.dcp.load import confirm, outcome, run
from optimove_provider.loads.evidence.upload_history import first_rows
from tests.support.dcp.importing import Vendor
from tests.support.dcp.s3_refusals import refuse

ROWS = {"a": (1651676123, 1), "b": (1651676124, 2)}
GET = "GET read_profile was answered"
STATUSES = [400, 401, 403, 500, "html"]
MODES = pytest.mark.parametrize("mode", ["changed", "full"])


@pytest.fixture
def vendor(tmp_path):
    return Vendor(tmp_path)


@pytest.mark.parametrize("profile_read", STATUSES)
@MODES
def test_the_upload_goes_on_and_the_report_says_what_was_not_seen(vendor, mode, profile_read):
    vendor.switch(profile_read=profile_read)
    report = vendor.load(ROWS, mode=mode)
    assert (report.state, report.accepted, report.unsent) == ("uploaded", 2, 0)
    status = 200 if profile_read == "html" else profile_read
    evidence = vendor.filed(report).json["evidence"]
    assert evidence["kind"] == "none"
    for told in (evidence["why"], report.sentence, vendor.filed(report).page):
        assert f"profiles cannot be read: connection 'dcp_default': {GET} {status}" in unescape(told)
    assert any("the next load sends them again" in note for note in report.notes)
    vendor.switch(profile_read="ok")
    assert vendor.client.read_profile(vendor.table.service_id, vendor.table.id, "b") == {
        "since": 1651676124,
        "ltv": 2.0,
    }
    assert vendor.known() == {}


def test_the_next_step_is_named(vendor):
    vendor.switch(profile_read=401)
    told = vendor.load(ROWS).evidence["why"]
    assert "Check Token (auth_scheme Token) in the connection" in told
    assert vendor.settings.token not in told


@pytest.mark.parametrize("profile_read", [400, "html"])
def test_the_next_night_waits_half_a_day_for_such_files_and_then_sends_the_rows_again(vendor, profile_read):
    vendor.switch(profile_read=profile_read)
    vendor.load(ROWS)
    with pytest.raises(StillImporting, match=r"unseen \(unreadable\): profiles cannot be read: .*answered"):
        vendor.load(ROWS)
    vendor.time.sleep(timedelta(hours=12).total_seconds())
    again = vendor.load(ROWS)
    assert (again.state, again.accepted, again.plan["unknown"]) == ("uploaded", 2, 2)


@pytest.mark.parametrize("profile_read", [403, 500])
def test_files_that_could_be_seen_and_cannot_now_hold_nobody_up_for_ever(vendor, profile_read):
    vendor.switch(import_after_seconds=1e9)
    with pytest.raises(Exception, match="not imported within"):
        vendor.load(ROWS)
    vendor.switch(profile_read=profile_read, import_after_seconds=0.0)
    vendor.time.sleep(60)
    with pytest.raises(StillImporting, match="profiles cannot be read"):
        vendor.load(ROWS)
    vendor.time.sleep(timedelta(hours=12).total_seconds())
    assert vendor.load(ROWS).state == "uploaded"


def test_one_profile_that_is_refused_says_nothing_of_the_others(vendor):
    vendor.state.faults.order(Fault("read_profile", status=400))
    report = vendor.load(ROWS)
    assert (report.state, report.evidence) == ("committed", {"kind": "sampled", "read_back": 1, "of": 2})


def test_what_fails_for_a_minute_is_read_after_it(vendor):
    vendor.state.faults.order(Fault("read_profile", status=429, times=1), Fault("read_profile", status=500, times=3))
    report = vendor.load(ROWS)
    assert (report.state, report.evidence) == ("committed", {"kind": "sampled", "read_back": 2, "of": 2})


@pytest.mark.parametrize(("profile_read", "error"), [(400, Refused), (403, AuthenticationError), (500, ServerTrouble)])
def test_a_file_that_nobody_remembers_is_not_called_seen(vendor, profile_read, error):
    report = vendor.load(ROWS, mode="full")
    vendor.staging.remove_folder("samples")
    vendor.switch(profile_read=profile_read)
    with pytest.raises(error):
        vendor.history.outcome(report.s3_keys)
    assert vendor.staging.names("samples") == []


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (409, "Odd"), (400, "InvalidRequest")])
def test_a_file_that_s3_refuses_to_give_is_told_as_one_that_cannot_be_read(vendor, status, code):
    """Which no retry mends, whatever it is refused with."""
    vendor.s3.get_object = lambda **_: refuse(status, code)(1)
    with pytest.raises(DataError, match=rf"dcp/x\.csv cannot be read \(.*{code}"):
        first_rows(Bucket(vendor.s3, IMPORT_BUCKET), "dcp/x.csv")


def overwritten(vendor, rows, wait=timedelta(hours=1)):
    """A changed import that the vendor does not carry out yet, of customers whom others write to meanwhile."""
    report = vendor.new_report()
    one = vendor.importing(rows, report)
    vendor.switch(import_after_seconds=6 * 3600.0)
    run(one, wait)
    for customer in rows:
        vendor.client.write_profile(vendor.table.service_id, vendor.table.id, customer, {"ltv": 9.9})
    confirm(vendor.staging, report, outcome(one, wait, timedelta(minutes=1)))
    return report


def test_what_others_wrote_does_not_show_that_a_file_is_imported(vendor):
    vendor.load({"a": (1700000000, 1.5), "b": (1700000000, 1.5)})
    later = {"a": (1700000000, 2.5), "b": (1700000000, 2.5)}
    report = overwritten(vendor, later)
    assert (report.state, report.evidence["kind"], vendor.known()) == ("uploaded", "none", {})
    assert "2 were overwritten by others since ('a', 'b')" in report.notes[-1]
    with pytest.raises(StillImporting):
        vendor.load(later)
    vendor.switch()
    vendor.time.sleep(12 * 3600)
    assert vendor.load(later).accepted == 2
    assert {key: profile["ltv"] for key, profile in vendor.profiles.items()} == {"a": 2.5, "b": 2.5}
