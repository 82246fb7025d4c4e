"""What was wrong once, or could be, is planted again; and a world finds it."""

import subprocess
import sys
import time

import pytest

from tests.simulation.mutants.__main__ import FOUND, MOST, MUTANTS, planted, table

KNOWN = table()
WITH_SEED = [mutant for mutant, one in KNOWN.items() if one["seed"]]
SECONDS = 90
SLOW = ("files-in-doubt-are-not-waited-for", "rows-are-not-synced")
"""Found late in their worlds: they come last."""


@pytest.fixture(scope="module")
def until():
    """When no further one is begun: on a slow machine, and beside other tests, there is not time for all."""
    return time.monotonic() + SECONDS


def test_every_patch_has_a_seed_and_every_seed_a_patch():
    assert {path.stem for path in MUTANTS.glob("*.patch")} == KNOWN.keys()
    assert len(WITH_SEED) >= 10
    assert all(one["seed"] <= MOST for one in KNOWN.values())


@pytest.mark.parametrize("mutant", sorted(WITH_SEED, key=lambda mutant: mutant in SLOW))
def test_a_planted_fault_is_found(mutant, tmp_path, until):
    if time.monotonic() > until:
        pytest.skip(f"this machine is slow: the others have taken {SECONDS} s")
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(KNOWN[mutant]["seed"]), "--no-shrinking"]
    found = subprocess.run(command, cwd=planted(mutant, tmp_path), capture_output=True, text=True)
    assert FOUND.search(found.stdout), found.stdout + found.stderr


def test_what_fails_is_shrunk(tmp_path):
    """Of an old fault the history is told in a line: few tasks, hardly a fault."""
    mutant = "an-older-snapshot-removes"
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(KNOWN[mutant]["seed"])]
    folder = planted(mutant, tmp_path)
    printed = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
    only = printed.partition("--only '")[2].partition("'")[0]
    names = only.split(", ")
    assert 1 <= sum(name.startswith("task") for name in names) <= 3
    assert sum(not name.startswith(("task", "key", "day")) for name in names) <= 2
    again = subprocess.run(
        [*command, "--only", only, "--no-shrinking", "--trace"], cwd=folder, capture_output=True, text=True
    )
    assert again.returncode == 1
    assert "WrongWorld" in again.stdout
