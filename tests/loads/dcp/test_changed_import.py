"""Rows of CSV, frozen and written again; and imports of what changed that break off, over real S3."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.errors import DataError, S3Trouble, SettingsError
from optimove_provider.loads.dcp.changed_import import ChangedImport
from optimove_provider.loads.dcp.csv_spool import Freezer, csv_text
from optimove_provider.loads.dcp.load import confirm, run
from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.state.journal import Stage
from optimove_provider.loads.upload.uploads import MIN_FILE_BYTES
from tests.support import s3_target
from tests.support.dcp_imports import WAIT, another, break_off, changed, dead_full_import, full, load
from tests.support.s3_target import Calls, Target, imported, many

ROWS = 120_000  # two parts
LARGE = b"".join(many(ROWS))
s3, target = s3_target.s3, s3_target.target  # fixtures


def frozen(staging, text):
    """The cells of rows that were frozen, and written as CSV again."""
    with RowFilesWriter(staging, "spool") as writer:
        freezer = Freezer(writer)
        for piece in text:
            freezer.write(piece)
        freezer.finish()
    written = b"".join(csv_text(staging, "spool", freezer.columns)).decode()
    return list(csv.reader(io.StringIO(written, newline="")))


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5)


ID = st.text('abc ,"\n\\é', min_size=1).filter(str.strip)


@given(rows=st.lists(st.tuples(ID, CELL, CELL), min_size=1, max_size=8))
def test_every_cell_survives(tmp_path_factory, rows):
    staging = Target(None, tmp_path_factory.mktemp("staging")).staging
    out = io.StringIO()
    csv.writer(out).writerows([("CUSTOMERID", "b", "a"), *rows])
    header, text = out.getvalue().encode().split(b"\r\n", 1)
    assert frozen(staging, [header + b"\r\n", text]) == [["CUSTOMERID", "b", "a"], *map(list, rows)]


def test_odd_text_is_read_too(target):
    odd = [b"customerId,note\n", b'\xef\xbb\xbf1,"a\n"\n', b"2,\n"]
    assert frozen(target.staging, odd)[1:] == [["\ufeff1", "a\n"], ["2", ""]]


def test_quotes_and_the_order_of_columns_are_no_change_and_other_text_is(target):
    assert load(target, b"customerId,ltv,note\n1,1,x\n2,2,\n").accepted == 2
    same = load(another(target), b'note,CustomerID,ltv\n"x",1,"1"\n"",2,2\n')
    assert (same.state, same.unchanged) == ("nothing_to_send", 2)
    other = load(another(target), b"customerId,ltv,note\n1,1.0,x\n2,2,\n")
    assert (other.accepted, other.unchanged) == (1, 1)
    assert target.stored()[other.s3_keys[0]] == b'customerId,ltv,note\n"1","1.0","x"\n'


def test_a_customer_twice_is_refused_before_anything_is_sent(target):
    with pytest.raises(DataError, match=r"'customerId' holds keys twice.*\"1\" in rows 1 and 3"):
        load(target, b"customerId,ltv\n1,1\n2,2\n1,3\n")
    assert target.stored() == {}


def test_a_column_that_is_empty_all_of_a_sudden_stops_the_load(target):
    load(target, b"customerId,ltv\n1,1\n2,2\n")
    with pytest.raises(GuardStopped, match=r"column 'ltv'.*min_filled_share"):
        load(another(target), b"customerId,ltv\n1,\n2,\n")


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_what_breaks_off_is_pending_and_a_retry_goes_on(target, call):
    with Calls(target.s3, call, break_off), pytest.raises(S3Trouble):
        load(target, LARGE)
    assert target.load_id in target.ledger.read().intents
    with Calls(target.s3, "UploadPart") as parts:
        report = load(target, b"not read again", try_number=2)
    assert parts.count == {"CreateMultipartUpload": 2, "UploadPart": 2, "CompleteMultipartUpload": 0}[call]
    assert (report.state, report.accepted, len(target.stored())) == ("committed", ROWS, 1)
    assert load(another(target), LARGE).unchanged == ROWS


def test_what_died_between_upload_and_commit_is_confirmed_by_a_retry(target):
    first, second = target.report(), target.report()
    run(changed(target, LARGE, first), WAIT)
    with pytest.raises(TargetBusy, match=f"load {target.load_id}"):
        load(another(target), LARGE)
    with Calls(target.s3, "UploadPart") as parts:
        run(changed(target, LARGE, second, try_number=2), WAIT)
    confirm(target.staging, second, imported(second.s3_keys), try_number=2)
    assert (parts.count, second.state, second.accepted, first.s3_keys) == (0, "committed", ROWS, second.s3_keys)


def test_what_was_uploaded_by_an_outdated_plan_is_thrown_away(target):
    with Calls(target.s3, "CompleteMultipartUpload", break_off), pytest.raises(S3Trouble):
        load(target, LARGE)
    other = another(target)
    assert load(other, b"".join(many(ROWS - 1))).accepted == ROWS - 1, "the first load's rows are unknown"
    report = load(target, LARGE, try_number=2)
    assert (report.state, report.accepted, report.stale) == ("nothing_to_send", 0, ROWS)
    assert (list(target.stored()), target.open_uploads()) == ([other.to.key(1)], [])


def test_a_plan_leaves_nothing_behind(target):
    report = target.report()
    ChangedImport(changed(target, b"customerId,ltv\n1,1\n", report)).plan()
    assert (report.state, report.plan["new"], target.staging.names("loads")) == ("planned", 1, [])
    assert target.ledger.read().version == 0


def test_it_needs_a_storage_with_compare_and_swap(target):
    with pytest.raises(SettingsError, match="needs a ledger"):
        run(target.load(b"", target.report(), None, mode="changed"))


def test_a_retry_of_a_full_import_gives_way_to_a_snapshot_that_was_committed_meanwhile(target):
    dead_full_import(target, b"customerId,ltv\n1,1\n2,1\n")
    other = another(target)
    load(other, b"customerId,ltv\n1,2\n")
    report = full(target, b"never read again", 2, datetime.now(UTC))
    assert (report.state, report.rows, report.stale, report.s3_keys) == ("nothing_to_send", 2, 2, ())
    assert (list(target.stored()), target.open_uploads()) == ([other.to.key(1)], [])


def test_a_full_import_older_than_a_snapshot_is_checked_and_begins_no_file(target):
    load(another(target), b"customerId,ltv\n1,2\n", generation=datetime.now(UTC))
    report = full(target, b"customerId,ltv\n1,1\n2,1\n", 1, datetime(2020, 1, 1, tzinfo=UTC))
    assert (report.state, report.rows, report.stale, report.s3_keys) == ("nothing_to_send", 2, 2, ())
    journal = target.load(b"", report, None).journal()
    assert (journal.stage, journal.has_sent) == (Stage.FINISHED, False)


def test_without_one_it_is_finished(target):
    dead_full_import(target, b"customerId,ltv\n1,1\n2,1\n")
    report = full(target, b"never read again", 2, datetime.now(UTC))
    assert (report.state, report.accepted, list(target.stored())) == ("uploaded", 2, [target.to.key(1)])


def test_a_full_import_that_had_its_file_visible_before_goes_on(target):
    full(target, b"customerId,ltv\n1,1\n2,1\n", 1, datetime.now(UTC))
    load(another(target), b"customerId,ltv\n1,2\n")
    report = full(target, b"never read again", 2, datetime.now(UTC))
    assert (report.state, report.accepted, report.s3_keys) == ("uploaded", 2, (target.to.key(1),))


def test_of_files_only_some_of_which_were_visible_before_a_snapshot_the_rest_is_given_up(target):
    def break_off_second(count):
        if count >= 2:
            break_off(count)

    with Calls(target.s3, "CompleteMultipartUpload", break_off_second), pytest.raises(S3Trouble):
        full(target, b"".join(many(200_000)), 1, datetime.now(UTC), max_file_bytes=MIN_FILE_BYTES)
    assert list(target.stored()) == [target.to.key(1)]
    load(another(target), b"customerId,ltv\n1,2\n")
    with pytest.raises(PartlyVisible, match=r"became visible.*a newer snapshot was committed") as overtaken:
        full(target, b"never read again", 2, datetime.now(UTC))
    assert (target.open_uploads(), overtaken.value.retry_helps) == ([], False)


def test_full_imports_write_down_their_keys_as_unknown(target):
    ledger = target.ledger
    report = full(target, b'ltv,CUSTOMERID\n1,"a""b"\n2,00123\n', 1, datetime.now(UTC))
    stored = layers.read(target.staging, layers.of_all(target.staging, ledger.read()), row_files.LEDGER.names)
    rows = [row for batch in stored for row in batch.to_pylist()]
    assert [(row["key"], row["record"], row["fingerprint"]) for row in rows] == [
        ('"a\\"b"', None, None),
        ('"00123"', None, None),
    ]
    assert (report.state, ledger.read().intents) == ("uploaded", {})


def test_a_customer_whose_row_is_refused_is_not_removed(target):
    load(target, b"customerId,ltv\n1,1\n2,1\n3,1\n4,1\n")
    other = another(target)
    report = other.report()
    how = {"mode": "changed", "on_invalid": "split", "max_rejected": None}
    run(other.load(b"customerId,ltv\n1,1\n3,1\n2,much\n", report, other.ledger, **how), WAIT)
    assert (report.plan["removed"], report.unchanged, report.rejected) == (0, 2, 1)
    assert any("nothing is taken for removed" in note for note in report.notes)
    assert load(another(target), b"customerId,ltv\n1,1\n2,1\n3,1\n").plan["removed"] == 1


@pytest.mark.parametrize("empty", [b"", b" ", b"\t ", '"\u3000"'.encode()])
def test_a_column_whose_cells_are_blank_is_empty(target, empty):
    def rows(cell):
        return b"customerId,note\n" + b"".join(b"%d,%s\n" % (number, cell) for number in range(40))

    load(target, rows(b"Rome"))
    with pytest.raises(GuardStopped, match=r"column 'note' has a value in 0.0% of the rows"):
        load(another(target), rows(empty))
