"""Which rows of two sets are the same by their digests: never one too many, and nearly all."""

import numpy as np
import pyarrow as pa
import pytest

from optimove_provider.loads.compare import digests
from optimove_provider.loads.compare.digests import DealtDigests, Digests, digests_of, same


@pytest.fixture
def small(monkeypatch):
    """Several chunks, and several groups of ranges."""
    monkeypatch.setattr(digests, "CHUNK", 1000)
    monkeypatch.setattr(digests, "AT_ONCE", 700)


def found(tmp_path, old, new):
    """Pairs of numbers."""
    with DealtDigests(tmp_path / "old") as known, DealtDigests(tmp_path / "new") as loaded:
        for dealt, rows in ((known, old), (loaded, new)):
            for start in range(0, len(rows.first), 300):
                dealt.add(Digests(rows.first[start : start + 300], rows.rest[start : start + 300]))
            dealt.flush()
        pairs = [pair for one in same(known, loaded) for pair in zip(*(side.tolist() for side in one), strict=True)]
    return pairs


def rows(first, rest, chance):
    """Rows with these digests, numbered in any order."""
    numbers = chance.permutation(len(first)).astype(np.uint64)
    return Digests(first, rest.astype(np.uint64) << np.uint64(32) | numbers)


def test_the_same_rows_are_found_and_no_others(tmp_path, small):
    chance = np.random.default_rng(1)
    first, rest = chance.integers(0, 1 << 64, 5000, np.uint64), chance.integers(0, 1 << 32, 5000)
    old = rows(first, rest, chance)
    changed, other_rest = first.copy(), rest.copy()
    changed[:500] ^= np.uint64(1 << 60)
    other_rest[500:600] ^= 1
    new = rows(changed, other_rest, chance)
    pairs = found(tmp_path, old, new)
    by_place = {(int(a), int(b)) for a, b in zip(old.numbers[600:], new.numbers[600:], strict=True)}
    assert set(pairs) <= by_place
    assert len(pairs) == len(set(pairs)) > 4300


def test_a_digest_that_is_there_twice_is_of_no_pair_or_of_one(tmp_path):
    chance = np.random.default_rng(2)
    first, rest = chance.integers(0, 1 << 64, 50, np.uint64), chance.integers(0, 1 << 32, 50)
    twice = rows(np.concatenate([first, first[:3]]), np.concatenate([rest, rest[:3]]), chance)
    once = rows(first, rest, chance)
    for old, new in ((twice, once), (once, twice)):
        pairs = found(tmp_path, old, new)
        assert all(len({pair[side] for pair in pairs}) == len(pairs) for side in (0, 1))


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (5, 0)])
def test_nothing_is_the_same_as_nothing(tmp_path, old, new):
    chance = np.random.default_rng(3)
    sets = (rows(chance.integers(0, 9, size, np.uint64), np.zeros(size), chance) for size in (old, new))
    assert found(tmp_path, *sets) == []


def test_a_digest_is_of_the_whole_fingerprint_and_of_the_key():
    prints = [
        bytes(range(12)),
        bytes(range(12)),
        *(bytes(range(place)) + b"\xff" + bytes(11 - place) for place in range(12)),
    ]
    whole = pa.array([b"before", *prints], pa.binary())[1:]  # as a part of a larger array is
    hashes = np.array([7, 8, *[7] * 12], np.uint64)
    made = digests_of(whole, pa.array(hashes), pa.array(range(5, 19)))
    assert made.numbers.tolist() == list(range(5, 19))
    assert len({(int(first), int(rest) >> 32) for first, rest in zip(*made, strict=True)}) == 14
