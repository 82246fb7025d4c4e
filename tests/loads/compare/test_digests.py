"""Which rows of two sets are the same by their digests: never one too many, and nearly all."""

import numpy as np
import pyarrow as pa
import pytest

from optimove_provider.loads.compare import digests
from optimove_provider.loads.compare.digests import DealtRows, same
from optimove_provider.loads.spool import row_digests
from optimove_provider.loads.spool.row_digests import DigestsWriter, digests_of

SEED = "5eed"


@pytest.fixture
def small(monkeypatch):
    """Several chunks, and several groups of ranges."""
    monkeypatch.setattr(row_digests, "CHUNK", 1000)
    monkeypatch.setattr(digests, "AT_ONCE", 700)


def rows(count, chance):
    """Keys and fingerprints of rows."""
    keys = [f'"{number}"' for number in chance.permutation(10**6)[:count]]
    return list(zip(keys, (chance.bytes(12) for _ in keys), strict=True))


def dealt(path, rows, without=None):
    """Rows in a file, numbered in their order."""
    with path.open("wb") as out:
        writer = DigestsWriter(out, SEED)
        for start in range(0, len(rows), 300):
            some = rows[start : start + 300]
            keys, prints = zip(*some, strict=True)
            places = np.arange(start, start + len(some))
            writer.add(pa.array(keys), pa.array(prints, pa.binary()), places, places + 1)
        writer.finish()
    return DealtRows([row_digests.opened(path, SEED, 0)], without)


def found(tmp_path, old, new, **of_old):
    """Pairs of places."""
    sides = same(dealt(tmp_path / "old", old, **of_old), dealt(tmp_path / "new", new))
    return [pair for one in sides for pair in zip(*(side.tolist() for side in one), strict=True)]


def test_the_same_rows_are_found_and_no_others(tmp_path, small):
    chance = np.random.default_rng(1)
    old = rows(5000, chance)
    order = chance.permutation(5000)
    new = [old[place] for place in order]
    for place in range(500):
        key, print_ = new[place]
        new[place] = (key, bytes([*print_[:11], print_[11] ^ 1])) if place % 2 else (f"{key}0", print_)
    pairs = found(tmp_path, old, new)
    assert set(pairs) <= {(int(order[place]), place) for place in range(500, 5000)}
    assert len(pairs) == len(set(pairs)) > 4300


def test_rows_that_do_not_count_are_of_no_pair(tmp_path, small):
    old = rows(3000, np.random.default_rng(4))
    without = np.arange(3000) % 3 == 0
    places = {place for place, _ in found(tmp_path, old, old, without=without)}
    assert len(places) > 1800
    assert not any(without[place] for place in places)


def test_a_digest_that_is_there_twice_is_of_no_pair_or_of_one(tmp_path):
    once = rows(50, np.random.default_rng(2))
    twice = [*once, *once[:3]]
    for old, new in ((twice, once), (once, twice)):
        pairs = found(tmp_path, old, new)
        assert all(len({pair[side] for pair in pairs}) == len(pairs) for side in (0, 1))


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (5, 0)])
def test_nothing_is_the_same_as_nothing(tmp_path, old, new):
    chance = np.random.default_rng(3)
    assert found(tmp_path, rows(old, chance), rows(new, chance)) == []


def test_a_digest_is_of_the_whole_fingerprint_and_of_the_key():
    prints = [
        bytes(range(12)),
        bytes(range(12)),
        *(bytes(range(place)) + b"\xff" + bytes(11 - place) for place in range(12)),
    ]
    whole = pa.array([b"before", *prints], pa.binary())[1:]  # as a part of a larger array is
    hashes = np.array([7, 8, *[7] * 12], np.uint64)
    made = digests_of(whole, hashes, np.arange(5, 19))
    assert made.numbers.tolist() == list(range(5, 19))
    assert len({(int(first), int(rest) >> 32) for first, rest in zip(*made, strict=True)}) == 14
