"""However a load is compared with a ledger, joined at once or left out by digests and in ranges: it is the same."""

from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.changed import FIRST, prepare
from optimove_provider.loads.compare import key_ranges, same_rows
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import KeyDigest
from optimove_provider.loads.plan import diff
from optimove_provider.loads.plan.plan import PlanInput
from optimove_provider.loads.plan.planner import make_plan
from optimove_provider.loads.spool import row_digests
from optimove_provider.loads.state.age import Age
from optimove_provider.records.arrow.duck import tables_in_file, temporary_duck
from tests.conftest import IN_CI
from tests.support.compare.histories import History, told
from tests.support.ledgers import hour


@pytest.mark.parametrize("seed", range(3 if IN_CI else 6))
def test_rows_are_left_out_and_ranges_are_compared_as_if_all_were_joined(local_target, monkeypatch, seed):
    check(History(local_target, seed), monkeypatch)


def test_so_they_are_on_a_storage_that_is_read_in_order(target, monkeypatch):
    check(History(target, 11), monkeypatch)


def check(history, monkeypatch):
    for number in range(2):
        load = history.last()
        expected = told(history.target, load)
        monkeypatch.setattr(same_rows, "FROM_ROWS", 1)
        monkeypatch.setattr(same_rows, "MOST_LEFT", 0)
        for at_once in (1000, 40 // (number + 2), 5):
            monkeypatch.setattr(key_ranges, "AT_ONCE", at_once)
            assert told(history.target, load) == expected
        monkeypatch.setattr(diff, "IN_A_FILE_FROM", 0)
        assert told(history.target, load) == expected
        monkeypatch.undo()


def test_where_the_ledger_has_nothing_nothing_is_joined_and_it_is_the_same(target):
    """A first load: what a join with a row of another key says of it."""
    load = target.frozen({**dict.fromkeys(range(500), 1), 77: ..., 501: 2}, hour(2))
    before = told(target, load)
    target.load({"another": 1}, hour(1))
    assert told(target, load) == before
    (counts, *_), _, picked, _ = before
    assert (counts["new"], len(picked)) == (500, 500)


def test_positions_go_on_from_file_to_file(local_target):
    """The files of one load are read as one, whatever they are called."""
    rows = dict.fromkeys(range(45_000), 1)
    local_target.load(rows, hour(1))
    assert len(local_target.manifest.bottom) == 5
    load = local_target.frozen({**rows, 3: 2, 12_345: 2, 44_444: 2}, hour(2))
    (counts, *_), positions, picked, _ = told(local_target, load)
    assert counts["changed"] == 3
    assert positions["changed"] == [3, 12_345, 44_444] == [row["_row"] - 1 for row in picked]


def test_tables_of_many_rows_lie_in_a_file():
    """Of tables in memory DuckDB keeps some bytes of each column there: a hundred million rows failed at 300 MB."""
    with temporary_duck("20MB", threads=1) as connection:
        rows = "SELECT range AS row, range::VARCHAR AS _key FROM range(50)"
        current = "SELECT range AS position, range::VARCHAR AS key FROM range(40)"
        found = [
            connection.execute(f"SELECT * FROM ({own}) LEFT JOIN ({there}) ON key = _key").fetchall()  # noqa: S608
            for there, own in key_ranges.in_ranges(
                connection, current, rows, 3, KeyDigest(seed="ab" * 16), tables_in_file(connection)
            )
        ]
        assert len(found) == 3
        assert sorted((row, position) for one in found for row, _, position, _ in one if position is not None) == [
            (number, number) for number in range(40)
        ]
        where = connection.execute("SELECT DISTINCT database_name FROM duckdb_tables()").fetchall()
        files = connection.execute("SELECT path FROM duckdb_databases() WHERE database_name = ?", where[0]).fetchall()
    assert len(where) == len(files) == 1
    assert not Path(files[0][0]).exists()


@pytest.mark.any_version
def test_what_is_left_of_many_rows_is_compared_in_as_little_memory(staging_on_disk, monkeypatch):
    """Of twelve million rows of which a million had changed, a plan failed for want of memory."""
    for module in (same_rows, row_digests):
        monkeypatch.setattr(module, "FROM_ROWS", 1)
    prepare(staging_on_disk, 400_000, changed=0.08)
    later = FIRST + timedelta(days=1)
    load = PlanInput("second", "second", Age.of(later), source_is="snapshot")
    plan = make_plan(Ledger(staging_on_disk, "benchmark"), load, "second-plan", later, "20MB")
    assert (plan.counts["changed"], plan.counts["unchanged"]) == (33_334, 366_666)
