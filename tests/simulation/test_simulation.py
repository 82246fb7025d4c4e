"""Worlds of loads: whatever goes wrong in them, no promise is broken."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.coverage import Coverage, too_rare
from tests.simulation.cut import Cut
from tests.simulation.life import Life, lived, lives, one_thread
from tests.simulation.world import TO_BE_MET

WORLDS, AT_LEAST, SECONDS = 300, 60, 60
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def worlds():
    """So many that show something; on a slow machine fewer, as they take so long."""
    found, until = list[Life](), time.monotonic() + SECONDS
    for life in lives(range(1, 2 * WORLDS), os.cpu_count() or 1):
        found += [life] if life.broken or not life.is_trivial else []
        if len(found) == WORLDS or (len(found) >= AT_LEAST and time.monotonic() > until):
            break
    return found


def test_no_world_breaks_a_promise(worlds):
    assert [(life.seed, life.broken) for life in worlds if life.broken] == []


@pytest.mark.parametrize(("what", "least"), [("loads", 8), ("workers", 2), ("faults", 3), ("deaths", 1)])
def test_much_happens_in_them(worlds, what, least):
    assert sum(getattr(life, what) for life in worlds) / len(worlds) >= least


def test_whatever_may_go_wrong_does_in_them(worlds):
    if len(worlds) < WORLDS:
        pytest.skip(f"this machine is slow: only {len(worlds)} worlds were lived, in which not all has to be met")
    met = sum((life.met for life in worlds), start=Counter())
    often = [name for name in TO_BE_MET if name.startswith(("fault", "move", "switch", "outcome"))]
    assert too_rare(met, often, 20) == {}  # once at least; make simulate asks for more, and for all


def test_virtual_time_goes_fast(worlds):
    assert sum(life.hours for life in worlds) > 5 * len(worlds)  # which takes a world less than a second


def test_a_seed_is_one_history_to_the_byte(worlds):
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(worlds[0].seed), "--trace"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[: len(worlds[0].trace)] == list(worlds[0].trace)


def test_what_is_left_out_does_not_happen(worlds):
    with one_thread():
        life = lived(worlds[0].seed, Cut.of(["task 1", "key north-2", "key north-3", "day 1", "day 2"]))
    assert (life.faults, life.deaths, life.broken) == (0, 0, "")
    assert not any("north-1=" in line for line in life.trace)
    assert all(" 1 " in line or "task" not in line for line in life.trace if " try " in line)


def test_what_is_never_met_is_told():
    coverage = Coverage()
    coverage.has("fault", "late")
    found = too_rare(coverage.met, ["fault: late", "move: zombie"], 50)
    assert found == {"move: zombie": 0}
