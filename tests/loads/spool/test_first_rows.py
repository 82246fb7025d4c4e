"""A limited load: the first rows of a source, no more of it read than shows that there is more, and never any harm."""

import io
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.loads.dcp.load import run
from optimove_provider.loads.optix.load import plan
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.validation.csv_file import CsvFile
from optimove_provider.options import Guards
from optimove_provider.records.rows import FirstRows, Unread
from tests.support import dcp_imports, s3_target
from tests.support.optix_target import Killed, Target, numbered, opened, record

pytestmark = pytest.mark.any_version

s3, table = s3_target.s3, s3_target.target  # fixtures
SNAPSHOT = {"mode": "changed", "source_is": "snapshot"}
MORE, NO_MORE = "the source has more, which were not read", "the source has no more"


@pytest.fixture
def target(tmp_path):
    return Target(tmp_path)


def sizes(items):
    return [1 if isinstance(item, Unread) else item.num_rows for item in items]


def batch(rows):
    return pa.record_batch({"id": list(range(rows))})


@pytest.mark.parametrize(
    ("limit", "taken", "has_more", "read"),
    [
        (1, [0, 1], True, 2),
        (3, [0, 3], True, 3),
        (4, [0, 3, 1], True, 4),
        (5, [0, 3, 1, 1], True, 4),
        (6, [0, 3, 1, 2], True, 5),
        (7, [0, 3, 1, 2, 1], False, 5),
        (8, [0, 3, 1, 2, 1], False, 5),
        (None, [0, 3, 1, 2, 1], False, 5),
    ],
)
def test_rows_are_counted_over_batches_and_those_that_could_not_be_read(limit, taken, has_more, read):
    items, seen = [batch(0), batch(3), Unread("x", "odd"), batch(2), Unread("y", "odd")], []

    def source():
        for item in items:
            seen.append(item)
            yield item

    first = FirstRows(limit)
    assert sizes(first.of(source())) == taken
    assert (first.has_more, len(seen)) == (has_more, read)


def limited(target, rows, limit, **settings):
    report = target.load(rows, str(uuid.uuid4()), limit=limit, **settings)
    (note,) = [one for one in report.notes if one.startswith("limited to")]
    return report, note


@pytest.mark.parametrize("settings", [{}, SNAPSHOT, {"nulls": "null"}], ids=str)
def test_the_first_rows_land_and_the_rest_is_not_read(target, settings, caplog):
    def endless():
        yield from numbered(8000)
        raise AssertionError("read on")

    report, note = limited(target, endless(), 4001, **settings)
    assert (report.state, report.rows, report.accepted) == ("committed", 4001, 4001)
    assert target.visible == {str(row): record(row) for row in range(1, 4002)}
    assert note.startswith("limited to 4001 rows; ")
    assert MORE in note
    assert note in caplog.text


def test_a_source_that_ends_at_the_limit_has_no_more(target):
    assert NO_MORE in limited(target, numbered(10), 10)[1]
    assert NO_MORE in limited(target, numbered(9), 10)[1]
    assert MORE in limited(target, numbered(11), 10)[1]


def test_a_row_that_cannot_travel_counts(target):
    report, _ = limited(target, numbered(10, bad=[2]), 3, max_rejected=1)
    assert (report.rows, report.accepted, report.rejected) == (3, 2, 1)


def test_what_a_limited_snapshot_lacks_is_not_removed_and_it_fences_nothing(target):
    whole = {**SNAPSHOT, "guards": Guards(min_rows_share=0.9)}
    target.load(numbered(100), str(uuid.uuid4()), **whole)
    report, _ = limited(target, numbered(100), 10, **SNAPSHOT)
    assert (report.state, report.rows, report.unchanged) == ("nothing_to_send", 10, 10)
    assert not report.plan["removed"]
    before = datetime.now(UTC) - timedelta(hours=1)
    older = target.load(numbered(5), str(uuid.uuid4()), generation=before)
    assert older.stale == 5  # below the snapshot, which was whole
    assert len(target.visible) == 100
    assert target.load(numbered(99), str(uuid.uuid4()), **whole).plan["removed"] == 1


def test_a_limited_first_load_holds_no_older_load_back(target):
    limited(target, numbered(100), 10, **SNAPSHOT)
    before = datetime.now(UTC) - timedelta(hours=1)
    older = target.load(numbered(100), str(uuid.uuid4()), generation=before, **SNAPSHOT)
    assert (older.accepted, older.stale) == (90, 10)


def test_a_limited_load_makes_nothing_expire(target):
    with pytest.raises(SettingsError, match="beyond the limit would be taken for removed"):
        target.load(numbered(10), limit=5, on_removed="expire", **SNAPSHOT)


def test_a_plan_is_limited_too(target):
    report = Report(str(uuid.uuid4()), {})
    plan(target.client, lambda: opened(numbered(50)), target.staging, report, target.wanted(limit=7, **SNAPSHOT))
    assert report.plan["new"] == 7
    assert MORE in " ".join(report.notes)


def test_a_retry_says_what_the_first_try_has_read(target):
    own, target.kill_at = str(uuid.uuid4()), 1
    with pytest.raises(Killed):
        target.load(numbered(20), own, limit=5)
    report = target.load([], own, limit=5)
    assert (report.accepted, len(target.visible)) == (5, 5)
    assert MORE in " ".join(report.notes)


TEXT = b'\xef\xbb\xbf\ncustomerId,note\n1,"a\nb"\n\n2,x\n3,"y""z"\n4,w\n'


@pytest.mark.parametrize(
    ("limit", "end", "has_more"), [(1, b"\n\n", True), (2, b"2,x\n", True), (3, b'z"\n', True), (4, b"w\n", False)]
)
def test_a_csv_file_is_cut_between_rows(limit, end, has_more):
    file = CsvFile("rows.csv", lambda: io.BytesIO(TEXT))
    with file.opened_first(limit) as (stream, more):
        text = b"".join(iter(lambda: stream.read(4), b""))
    assert (text, more) == (TEXT[: TEXT.index(end) + len(end)], has_more)


def test_of_a_csv_file_the_rest_is_not_read():
    stream = io.BytesIO(b"customerId\n" + b"12345678\n" * 1_000_000)

    @contextmanager
    def unclosed():
        stream.seek(0)
        yield stream

    with CsvFile("rows.csv", unclosed).opened_first(3) as (text, more):
        assert (len(text.read()), more) == (11 + 27, True)
    assert stream.tell() < 1 << 20


ROWS = b"customerId,ltv\n1,1\n2,2\n3,much\n4,4\n"


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_an_import_goes_up_with_its_first_rows(table, mode):
    report = table.report()
    run(table.load(ROWS, report, table.ledger, mode=mode, limit=2), dcp_imports.WAIT)
    assert (report.state, report.rows, report.accepted) == ("uploaded", 2, 2)
    assert [text.replace(b'"', b"") for text in table.stored().values()] == [b"customerId,ltv\n1,1\n2,2\n"]
    assert MORE in " ".join(report.notes)
    again = dcp_imports.another(table)
    too_many = again.load(ROWS, again.report(), again.ledger, mode=mode, limit=3)
    with pytest.raises(DataError, match="much"):
        run(too_many, dcp_imports.WAIT)


def test_an_import_of_other_rows_is_limited_too(table):
    report, rows = table.report(), s3_target.rows_of(pa.record_batch({"customerId": ["1", "2", "3"], "ltv": [1.0] * 3}))
    run(table.load(rows, report, table.ledger, limit=2))
    assert (report.rows, len(next(iter(table.stored().values())).splitlines())) == (2, 3)
    assert MORE in " ".join(report.notes)


def test_what_a_limited_import_lacks_is_not_removed(table):
    dcp_imports.load(table, b"customerId,ltv\n1,1\n2,2\n3,3\n")
    cut = dcp_imports.another(table)
    report = cut.report()
    run(cut.load(b"customerId,ltv\n1,1\n2,2\n3,3\n", report, cut.ledger, mode="changed", limit=1), dcp_imports.WAIT)
    assert (report.state, report.unchanged, report.plan["removed"]) == ("nothing_to_send", 1, 0)
    assert cut.ledger.read().newest_snapshot.rows == 3
