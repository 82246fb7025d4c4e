"""A dry run has no lease: loads end while it reads what they make needless."""

import os
import time

import pytest

from optimove_provider.loads.spool.lost_rows import LostRows
from optimove_provider.loads.state.staging import Staging
from tests.support.ledgers import let_lease_end
from tests.support.optix_target import Killed
from tests.support.optix_transactions import TransactionTarget, night, planned

LOAD_ID = "6f0f5d3a-0000-4000-9000-00000000beef"
DAYS = 86_400


class Interrupted(Staging):
    """Something happens when a file of some folder is opened for the first time."""

    __slots__ = ("folder", "meanwhile")

    def __init__(self, staging, folder, meanwhile):
        super().__init__(staging.fs, staging.root)
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "meanwhile", [meanwhile])

    def open(self, path):
        if path.startswith(self.folder) and path.endswith(".parquet") and self.meanwhile:
            self.meanwhile.pop()()
        return super().open(path)


class OnAnObjectStore(Interrupted):
    __slots__ = ()
    is_local = False


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def dry_run(target, values, kind, folder, meanwhile):
    plain = target.staging

    def happens():
        target.staging = plain
        meanwhile()

    target.staging = kind(plain, folder, happens)
    return planned(target, values, night(9)).plan


def grow_old(target, days):
    for path in target.staging.fs.find(target.staging.root):
        os.utime(path, (time.time() - days * DAYS,) * 2)


@pytest.mark.parametrize("kind", [Interrupted, OnAnObjectStore])
def test_what_the_manifest_lets_go_stays_for_a_day_however_old_it_is(target, kind):
    target.sync({"a": "1", "b": "1"}, night(0))
    grow_old(target, days=3)

    def two_loads():
        target.sync({"a": "2", "b": "2"}, night(1))  # makes one layer of all
        target.sync({"a": "3", "b": "3"}, night(2))  # tidies up

    plan = dry_run(target, {"a": "3", "b": "1"}, kind, "ledgers/", two_loads)
    assert (plan["changed"], plan["unchanged"]) == (1, 1)
    assert target.values == {"a": "3", "b": "3"}


@pytest.mark.parametrize("kind", [Interrupted, OnAnObjectStore])
def test_what_a_load_takes_along_when_it_ends_is_looked_for_again(target, kind):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.kill_at = len(target.bodies) + 1
    with pytest.raises(Killed):
        target.sync({"a": "2", "b": "1"}, night(1), LOAD_ID)
    target.kill_at = 0
    let_lease_end(target.ledger)
    retry = lambda: target.sync({}, night(1), LOAD_ID)  # noqa: E731
    plan = dry_run(target, {"a": "2", "b": "1"}, kind, f"loads/{LOAD_ID}", retry)
    assert (plan["unknown"], plan["unchanged"]) == (0, 2)


def test_a_file_that_is_missing_for_another_reason_is_an_error(target):
    target.sync({"a": "1"}, night(0))
    target.staging.remove_folder(target.ledger.read().layers[0].path)
    with pytest.raises(LostRows):
        planned(target, {"a": "2"}, night(1))
