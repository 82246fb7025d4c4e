"""Digests that lie beside files of rows: a plan with them is the plan without, and they go where their files go."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from optimove_provider.loads.compare import key_ranges, same_rows
from optimove_provider.loads.erasure.forgotten_key import ForgottenKey
from optimove_provider.loads.erasure.ledger_rows import forget_rows, tidy
from optimove_provider.loads.ledger.compaction import compact, vacuum
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import target_id
from optimove_provider.loads.spool import row_digests, row_files
from optimove_provider.loads.spool.row_digests import ENDING
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.transfer.backup import backup
from optimove_provider.loads.transfer.move import Move, move
from tests.conftest import IN_CI
from tests.support.compare.histories import KEYS, History, told
from tests.support.ledgers import hour, some

KEEPER = "6f0f5d3a-0000-4000-8000-00000000bbbb"


@pytest.fixture
def few(monkeypatch):
    """Digests are kept, and looked for, whatever the number of rows."""
    monkeypatch.setattr(row_digests, "FROM_ROWS", 1)
    monkeypatch.setattr(same_rows, "FROM_ROWS", 1)
    monkeypatch.setattr(same_rows, "MOST_LEFT", 0)


@pytest.fixture
def made(monkeypatch):
    """The names of what was not kept, and so was made for a plan."""
    names = []
    make = same_rows.DigestsAtHand.made

    def told_of(self, name, *asked):
        names.append(name)
        return make(self, name, *asked)

    monkeypatch.setattr(same_rows.DigestsAtHand, "made", told_of)
    return names


def files(target, load):
    """Of a load, and of the bottom layers it is compared with."""
    return row_files.sendable_paths(target.staging, load.rows_folder), [one.path for one in target.manifest.bottom]


def keep(target, load):
    for paths in files(target, load):
        row_digests.keep(target.staging, paths, target.manifest.key_digest.seed)


def kept_of(target):
    """The names of layers, with digests beside them or without; and of digests without a layer."""
    names = set(target.staging.names(target.ledger.layers.folder))
    layers = {layer.path.rpartition("/")[2] for layer in target.manifest.layers}
    beside = {name.removesuffix(ENDING) for name in names if name.endswith(ENDING)}
    return layers & beside, layers - beside, beside - layers


@pytest.mark.parametrize("seed", range(3 if IN_CI else 6))
def test_a_plan_with_them_is_the_plan_without(local_target, monkeypatch, made, seed):
    check(History(local_target, seed), monkeypatch, made)


def test_so_it_is_on_a_storage_that_is_read_in_order(target, monkeypatch, made):
    check(History(target, 12), monkeypatch, made, loads=1)


def check(history, monkeypatch, made, loads=2):
    target = history.target
    for _ in range(loads):
        load = history.last()
        expected = told(target, load)
        monkeypatch.setattr(same_rows, "FROM_ROWS", 1)
        monkeypatch.setattr(same_rows, "MOST_LEFT", 0)
        keep(target, load)
        made.clear()
        for at_once in (1000, 5):
            monkeypatch.setattr(key_ranges, "AT_ONCE", at_once)
            assert told(target, load) == expected
        assert set(made) <= {"above"}
        monkeypatch.setattr(same_rows, "FROM_ROWS", 10**6)


def cut(body):
    return body[: len(body) // 2]


def bent(body):
    return bytes([body[0] ^ 1]) + body[1:]


def of_another_version(body):
    return body[:-1] + b"0"


def emptied(body):
    return b""


@pytest.mark.parametrize("damaged", [cut, bent, of_another_version, emptied])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_damaged_is_made_for_the_plan(local_target, few, made, damaged, side):
    load = loaded_twice(local_target)
    expected = told(local_target, load)
    assert made == ["above"]
    [path] = files(local_target, load)[side]
    place = local_target.staging.path(path + ENDING)
    with open(place, "rb") as file:
        body = file.read()
    with open(place, "wb") as file:
        file.write(damaged(body))
    assert told(local_target, load) == expected
    assert made[1:] == [["above", "loaded"], ["known"]][side]


def test_what_is_missing_or_of_another_seed_is_made_for_the_plan(target, few, made):
    load = loaded_twice(target)
    expected = told(target, load)
    [path], _ = files(target, load)
    target.staging.remove(path + ENDING)
    assert told(target, load) == expected
    row_digests.keep(target.staging, [path], "another")
    assert told(target, load) == expected
    assert made == ["above", *["above", "loaded"] * 2]


def loaded_twice(target):
    """A first load, whose digests are kept by its commit, and a second one."""
    target.load(dict.fromkeys(KEYS, 1), hour(1))
    load = target.frozen({**dict.fromkeys(KEYS, 1), "k3": 2}, hour(2), source_is="snapshot")
    row_digests.keep(target.staging, files(target, load)[0], target.manifest.key_digest.seed)
    return load


def test_a_row_that_was_replaced_in_between_is_sent_again(local_target, few, made):
    """First v1, then v2, now v1 again: the digest of v1 still lies beside the bottom layer."""
    local_target.load(dict.fromkeys(KEYS, 1), hour(1))
    local_target.load({**dict.fromkeys(KEYS, 1), "k3": 2}, hour(2), source_is="snapshot")
    made.clear()
    load = local_target.frozen(dict.fromkeys(KEYS, 1), hour(3), source_is="snapshot")
    keep(local_target, load)
    assert some(local_target.plan(load)) == {"changed": 1, "unchanged": len(KEYS) - 1}
    assert made == ["above"]


def test_they_are_kept_at_the_bottom_and_go_with_their_layers(target, few):
    target.load(dict.fromkeys(KEYS, 1), hour(1))
    first = kept_of(target)
    assert (len(first[0]), first[1:]) == (1, (set(), set()))
    target.load({**dict.fromkeys(KEYS, 2)}, hour(2))
    assert [len(names) for names in kept_of(target)] == [1, 1, 0]
    with target.lease(KEEPER) as lease:
        assert compact(target.ledger, lease)
        assert [len(names) for names in kept_of(target)] == [1, 0, 1]
        target.clock.now = datetime.now(UTC) + timedelta(days=30)
        vacuum(target.ledger, lease, target.clock() + timedelta(days=1))
    assert [len(names) for names in kept_of(target)] == [1, 0, 0]
    load = target.frozen(dict.fromkeys(KEYS, 2), hour(3))
    assert some(target.plan(load)) == {"unchanged": len(KEYS)}


def test_a_load_of_few_rows_keeps_none(local_target):
    local_target.load(dict.fromkeys(KEYS, 1), hour(1))
    local_target.load(dict.fromkeys(KEYS, 2), hour(2))
    with local_target.lease(KEEPER) as lease:
        assert compact(local_target.ledger, lease)
    assert kept_of(local_target)[0] == set()


def test_of_a_file_without_a_forgotten_key_they_are_made_again(target, few, made):
    target.load(dict.fromkeys(KEYS, 1), hour(1))
    target.clock.now = datetime.now(UTC)  # files are as old as they are
    with target.lease(KEEPER) as lease:
        forget_rows(target.ledger, lease, ForgottenKey("k3"))
        tidy(target.ledger, lease)
    assert [len(names) for names in kept_of(target)] == [1, 0, 0]
    load = target.frozen({**dict.fromkeys(KEYS, 1), "k5": 2}, hour(2), source_is="snapshot")
    assert some(target.plan(load)) == {"new": 1, "changed": 1, "unchanged": len(KEYS) - 2}
    assert made == ["above", "loaded"]


def test_they_move_with_a_ledger_and_are_not_in_a_backup(local_target, few, made):
    local_target.load(dict.fromkeys(KEYS, 1), hour(1))
    local_target.clock.now = datetime.now(UTC)  # files are as old as they are
    here = local_target.ledger
    for name, carry in (("kept", backup), ("moved", lambda here, to: move([Move(here, to)]))):
        to = Ledger(local_target.staging, target_id("optix", f"https://{name}.test", "4f0a"))
        carry(here, to)
        names = local_target.staging.names(to.layers.folder)
        assert [name.endswith(ENDING) for name in names] == ([False] if name == "kept" else [False, True])
    local_target.ledger = to
    load = local_target.frozen(dict.fromkeys(KEYS, 1), hour(2))
    assert some(local_target.plan(load)) == {"unchanged": len(KEYS)}
    assert made == ["above", "loaded"]
    assert local_target.staging.names(here.layers.folder) == []


def test_they_are_made_while_rows_are_written_from_many_rows_on(staging_on_disk, monkeypatch, tmp_path):
    """In files of 100 slices, one beside each; the same that are made of the files afterwards."""
    monkeypatch.setattr(row_digests, "FROM_ROWS", 12_000)
    monkeypatch.setattr(row_digests, "CHUNK", 1000)
    monkeypatch.setattr("optimove_provider.loads.spool.slices.SLICES_IN_A_FILE", 1)
    for rows, kept in ((11_000, 0), (12_000, 3)):
        folder = f"rows-{rows}"
        with RowFilesWriter(staging_on_disk, folder, seed="5eed") as writer:
            for start in range(0, rows, 700):
                writer.add(batch(start, min(700, rows - start)))
        paths = row_files.paths(staging_on_disk, folder)
        found = row_digests.kept(staging_on_disk, ((path, None) for path in paths), "5eed", tmp_path)
        assert len(found or []) == kept
    for file, path in zip(found, paths, strict=True):
        staging_on_disk.remove(path + ENDING)
        row_digests.keep(staging_on_disk, [path], "5eed")
        [again] = row_digests.kept(staging_on_disk, [(path, None)], "5eed", tmp_path)
        assert file.sizes().tolist() == again.sizes().tolist()
    numbers = [int(one) for rows in again.read(0, row_digests.RANGES) for one in rows.numbers]
    assert sorted(numbers) == list(range(30_003, 36_001, 3))[-len(numbers) :]


def batch(start, count):
    """Rows with every third number: the others were put aside."""
    numbers = pa.array(np.arange(start, start + count) * 3 + 3)
    texts = numbers.cast(pa.string())
    return row_files.rows_batch(numbers, texts, texts, row_files.fingerprints(texts))
