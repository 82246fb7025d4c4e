"""However a load is compared with a ledger, joined at once or left out by digests and in ranges: it is the same."""

import pytest

from optimove_provider.loads.compare import key_ranges, same_rows
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
        monkeypatch.undo()


def test_positions_go_on_from_file_to_file(local_target):
    """The files of one load are read as one, whatever they are called."""
    rows = dict.fromkeys(range(45_000), 1)
    local_target.load(rows, hour(1))
    assert len(local_target.manifest.bottom) == 5
    load = local_target.frozen({**rows, 3: 2, 12_345: 2, 44_444: 2}, hour(2))
    (counts, *_), positions, picked, _ = told(local_target, load)
    assert counts["changed"] == 3
    assert positions["changed"] == [3, 12_345, 44_444] == [row["_row"] - 1 for row in picked]
