"""Rows that the vendor drops without a word: what a sample, reading all of them back and a history say of them."""

import csv
from datetime import timedelta

import pytest

from optimove_provider.contract.wire.errors import ServerTrouble
from optimove_provider.loads.dcp.load import ImportFailed, NotImported, RowsDropped
from tests.support.dcp.importing import Vendor

DROPPED = [f"c{number:04}" for number in range(500, 505)]
"""Customers whose rows this vendor does not take, and says so in its history only."""
ROWS = {f"c{number:04}": (1651676123, number) for number in range(1000)}
ROWS |= {customer: (0, 1) for customer in DROPPED}
MODES = pytest.mark.parametrize("mode", ["changed", "full"])


@pytest.fixture
def vendor(tmp_path):
    found = Vendor(tmp_path)
    found.switch(row_failure="row", epoch_zero="refuse")
    return found


def counts(report):
    return (report.state, report.accepted, report.rejected, report.unsent)


def rejected_customers(vendor, report):
    path = f"{vendor.folder}/reports/{report.load_id}.dropped.csv"
    assert report.rejected_file == vendor.staging.url(f"reports/{report.load_id}.dropped.csv")
    with open(path, newline="") as file:
        return [(row["customerId"], row["refused_because"]) for row in csv.DictReader(file)]


@MODES
def test_a_sample_cannot_see_them_and_says_that_it_is_one(vendor, mode):
    report = vendor.load(ROWS, mode=mode)
    assert counts(report) == ("committed", 1000, 0, 0)
    assert len(vendor.profiles) == 995
    sampled = {"kind": "sampled", "read_back": 11, "of": 1000}
    filed = vendor.filed(report)
    assert (filed.json["evidence"], filed.result["evidence"]) == (sampled, sampled)
    words = "sampled: 11 rows of 1000 were read back, and nobody counted the others"
    assert words in report.sentence
    assert words in filed.page


@MODES
def test_reading_all_back_finds_each_and_names_it(vendor, mode):
    with pytest.raises(RowsDropped, match=r"5 of the 1000 rows .* are not there, such as those of 'c0500'") as raised:
        vendor.load(ROWS, mode=mode, verify=1)
    report = raised.value.report
    assert counts(report) == ("committed", 995, 5, 0)
    assert vendor.filed(report).json["evidence"] == {"kind": "counted", "read_back": 1000, "of": 1000}
    assert [customer for customer, _ in rejected_customers(vendor, report)] == DROPPED
    assert sum(report.reasons.values()) == 5
    if mode == "changed":
        assert vendor.known() == dict.fromkeys(set(ROWS) - set(DROPPED), "counted")
        vendor.switch(epoch_zero="accept")
        again = vendor.load(ROWS, verify=1)
        assert (again.accepted, again.unchanged, again.plan["unknown"]) == (5, 995, 5)
        assert set(vendor.known()) == set(ROWS)


@MODES
def test_a_share_begins_when_the_import_has_begun_too(vendor, mode):
    """One of the dropped rows is in the sample, which it would be waited for."""
    rows = {f"c{number:04}": (0 if number % 8 == 5 else 1651676123, number) for number in range(40)}
    with pytest.raises(RowsDropped):
        vendor.load(rows, mode=mode, verify=0.99)


@MODES
def test_a_history_counts_them_and_nobody_reads_anything_back(vendor, mode):
    vendor.with_history()
    with pytest.raises(ImportFailed, match="995 rows processed, 5 failed") as raised:
        vendor.load(ROWS, mode=mode, verify=1)
    assert counts(raised.value.report) == ("committed", 995, 5, 0)
    assert vendor.filed(raised.value.report).json["evidence"] == {"kind": "counted"}
    assert "read_profile" not in [request["endpoint"] for request in vendor.state.requests]
    assert not vendor.known() if mode == "changed" else True


@MODES
def test_all_are_counted_where_none_is_dropped(vendor, mode):
    report = vendor.load({"a": (1651676123, 1), "b": (1651676124, 2.5)}, mode=mode, verify=1)
    assert counts(report) == ("committed", 2, 0, 0)
    assert vendor.filed(report).json["evidence"] == {"kind": "counted", "read_back": 2, "of": 2}
    assert report.rejected_file == ""


@MODES
def test_a_dropped_row_among_the_sample_does_not_make_it_wait_for_ever(vendor, mode):
    rows = {"first": (0, 1), "second": (1651676123, 2)}
    with pytest.raises(NotImported, match='dropped by the vendor: verify="all" tells which'):
        vendor.load(rows, mode=mode, assume_settled=True)
    began = vendor.time.elapsed
    with pytest.raises(RowsDropped) as raised:
        vendor.load({**rows, "third": (1651676123, 3)}, mode=mode, verify=1, assume_settled=True)
    assert [customer for customer, _ in rejected_customers(vendor, raised.value.report)] == ["first"]
    assert vendor.time.elapsed - began < 600


def test_a_share_reads_about_so_many_and_says_how_many(vendor):
    rows = {f"c{number:04}": (1651676123, number) for number in range(1000)}
    report = vendor.load(rows, verify=0.2)
    evidence = vendor.filed(report).json["evidence"]
    assert (evidence["kind"], evidence["of"]) == ("sampled", 1000)
    assert 150 < evidence["read_back"] < 250
    assert set(vendor.known().values()) == {f"sampled {evidence['read_back']} of 1000"}


def test_what_comes_late_is_waited_for_while_it_comes(vendor):
    vendor.switch(profile_lag_seconds=100)
    report = vendor.load({"a": (1651676123, 1), "b": (1651676123, 2)}, verify=1)
    assert counts(report) == ("committed", 2, 0, 0)


def test_a_wait_that_is_over_is_the_end_of_looking(vendor):
    with pytest.raises(RowsDropped):
        vendor.load({"a": (1651676123, 1), "b": (0, 2)}, verify=1, wait=timedelta(seconds=10))
    assert vendor.time.elapsed < 60


def test_of_a_customer_who_is_there_twice_nobody_says_which_row_counts(vendor):
    """As a bulk write was reported that counted rows sent, where rows of one key had become one."""
    report = vendor.load(
        b"customerId,since,ltv\na,1651676123,1\na,1651676123,2\nb,1651676123,3\n", mode="full", verify=1
    )
    assert counts(report) == ("committed", 3, 0, 0)
    assert vendor.filed(report).json["evidence"] == {"kind": "sampled", "read_back": 2, "of": 3}


def test_rows_that_no_url_can_name_or_that_say_nothing_are_counted_by_nobody(vendor):
    report = vendor.load({"a": (1651676123, 1), "..": (1651676123, 1), "c": ("", "")}, verify=1)
    assert counts(report) == ("committed", 3, 0, 0)
    assert vendor.filed(report).json["evidence"] == {"kind": "sampled", "read_back": 1, "of": 3}


def test_where_reading_fails_for_a_while_a_retry_reads_again(vendor):
    report, rows = vendor.new_report(), {"a": (1651676123, 1), "b": (0, 2)}
    with pytest.raises(ServerTrouble, match="read_profile was answered 500"):
        vendor.load(rows, report, verify=1, then=lambda: vendor.switch(profile_read=500))
    vendor.switch(profile_read="ok")
    with pytest.raises(RowsDropped):
        vendor.load(rows, again := vendor.new_report(report.load_id), verify=1, try_number=2)
    assert counts(again) == ("committed", 1, 1, 0)
    assert len(list(vendor.state.objects.list())) == 1


def test_where_reading_is_refused_the_sample_is_what_is_known(vendor):
    report = vendor.load(ROWS, verify=1, then=lambda: vendor.switch(profile_read=403))
    assert counts(report) == ("committed", 1000, 0, 0)
    assert vendor.filed(report).json["evidence"] == {"kind": "sampled", "read_back": 11, "of": 1000}
    assert any("could not be read back one by one, as verify asks: connection" in note for note in report.notes)


def test_rows_that_were_refused_before_have_a_file_of_their_own(vendor):
    rows = b"customerId,since,ltv\na,1651676123,1\nb,0,2\nc,1651676123,x\n"
    with pytest.raises(RowsDropped) as raised:
        vendor.load(rows, verify=1, on_invalid="split", max_rejected=None)
    report = raised.value.report
    assert counts(report) == ("committed", 1, 2, 0)
    assert report.rejected_file.endswith(".rejected.csv")
    assert any(f"{report.load_id}.dropped.csv" in note for note in report.notes)


def test_rows_that_were_there_before_are_there(vendor):
    """No profile changes, so a sample shows nothing; who reads all of them knows what the table has."""
    vendor.load(ROWS, mode="full", assume_settled=True)
    same = {key: ROWS[key] for key in ("c0001", "c0002")}
    report = vendor.load(same, verify=1, assume_settled=True)
    assert counts(report) == ("committed", 2, 0, 0)
    assert vendor.known() == dict.fromkeys(same, "counted")
    assert vendor.load(same).state == "nothing_to_send"


def test_rows_that_are_not_there_before_anything_shows_the_import_may_come_still(vendor):
    vendor.load(ROWS, mode="full")
    vendor.switch(import_after_seconds=1e9)
    rows = {**{f"c{number:04}": ROWS[f"c{number:04}"] for number in range(30)}, "c0015": (1651676123, -1)}
    report = vendor.load(rows, verify=1)
    assert (report.state, report.rejected, report.evidence["kind"]) == ("uploaded", 0, "none")
    assert vendor.known() == {}
    assert not [name for name in vendor.staging.names("reports") if "dropped" in name]


@MODES
def test_an_import_that_stores_nothing_at_all_is_not_called_imported(vendor, mode):
    """As a bulk copy was reported that told the rows it had sent, and had written none."""
    with pytest.raises(NotImported, match="2 still have a value from before the upload") as raised:
        vendor.load({"a": (0, 1), "b": (0, 2)}, mode=mode, verify=1)
    assert "verify=" not in str(raised.value)
    assert vendor.known() == {}
