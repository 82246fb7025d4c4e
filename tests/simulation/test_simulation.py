"""Worlds of loads: whatever goes wrong in them, no promise is broken; and what breaks one is found."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import lived
from tests.support.crash.shared_duck import shared_duck

SEEDS = range(1, 13)
FOUND_BY = {
    "a-day-newer-counts-as-equal": 2,
    "a-held-lease-is-acquired": 2,
    "a-snapshot-sets-no-watermark": 3,
    "an-old-lease-is-trusted": 5,
    "stale-rows-are-sent": 2,
    "what-was-written-since-expires": 120,
}
"""A seed that finds each fault that is planted by a patch. `python -m tests.simulation --stop` finds another one."""
ROOT = Path(__file__).parents[2]
MUTANTS = Path(__file__).parent / "mutants"


@pytest.fixture(scope="module", autouse=True)
def quick_databases():
    with shared_duck():
        yield


@pytest.fixture(scope="module")
def worlds():
    return [lived(seed) for seed in SEEDS]


def test_no_world_breaks_a_promise(worlds):
    assert [(world.seed, error) for world, error in worlds if error] == []


def test_much_goes_wrong_in_them(worlds):
    met = sum((world.chaos.met for world, _ in worlds), start=worlds[0][0].chaos.met.__class__())
    assert met["death"] > len(worlds) / 2
    assert len(met) > 10
    assert all(len(world.tasks) >= 1 for world, _ in worlds)


def test_a_seed_is_one_history_to_the_byte(worlds):
    (again, _), (first, _) = lived(SEEDS[0]), worlds[0]
    assert again.scheduler.trace == first.scheduler.trace
    assert again.targets[0].vendor.values == first.targets[0].vendor.values


@pytest.mark.parametrize("mutant", sorted(path.stem for path in MUTANTS.glob("*.patch")))
def test_a_planted_fault_is_found(mutant, tmp_path):
    for folder in ("optimove_provider", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "apply", MUTANTS / f"{mutant}.patch"], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(FOUND_BY[mutant])]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 1, found.stderr
    assert "WrongWorld" in found.stdout
