"""`python -m tests.simulation.mutants`: looks for the first seed that finds each fault which a patch plants.

Where the code has moved, the seeds move too: `--write` puts them into found_by.toml, from which docs/reliability.md is
printed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

MUTANTS = Path(__file__).parent
ROOT = MUTANTS.parents[2]
TABLE = MUTANTS / "found_by.toml"
MOST = 1000
_OUT_OF_STEP = "ValueError|TypeError|AttributeError|NameError"
FOUND = re.compile(rf"^seed (\d+): (?:WrongWorld|Stuck)(?!.* raised (?:{_OUT_OF_STEP}))", re.MULTILINE)
"""What is printed where a promise is broken; a patch that no longer fits its surroundings breaks none."""


def planted(mutant: str, folder: Path) -> Path:
    """A copy of the package with a fault, beside the tests. Raises CalledProcessError where the patch is too old."""
    shutil.copytree(ROOT / "optimove_provider", folder / "optimove_provider")
    (folder / "tests").symlink_to(ROOT / "tests")
    command = ["git", "apply", "-C1", "--unidiff-zero", MUTANTS / f"{mutant}.patch"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def table() -> dict[str, dict[str, str | int]]:
    """What each fault is, and the seed that finds it, by the name of its patch."""
    return tomllib.loads(TABLE.read_text())


def search(mutant: str, most: int, jobs: int) -> int | None:
    """The first seed that finds a fault; None if none does."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.simulation", "--stop", "--seeds", str(most), "--jobs", str(jobs)]
        printed = subprocess.run(command, cwd=planted(mutant, Path(folder)), capture_output=True, text=True).stdout
    print(printed, file=sys.stderr)
    found = FOUND.search(printed)
    return int(found[1]) if found else None


def main() -> int:
    """The exit code: 1 if a fault is not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("mutants", nargs="*", help="names of patches; all of them without any")
    parser.add_argument("--most", type=int, default=MOST, help="how many seeds are tried")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--write", action="store_true", help="remember the seeds")
    given, known, lost = parser.parse_args(), table(), 0
    for mutant in given.mutants or sorted(known):
        seed = search(mutant, given.most, given.jobs)
        print(mutant, seed or f"is not found in {given.most} worlds", flush=True)
        lost += seed is None
        if seed and given.write:
            known[mutant]["seed"] = seed
            TABLE.write_text("\n".join(_lines(known)))
    return 1 if lost else 0


def _lines(known: dict[str, dict[str, str | int]]) -> list[str]:
    return [f'[{name}]\nwhat = "{one["what"]}"\nseed = {one["seed"]}\n' for name, one in sorted(known.items())]


if __name__ == "__main__":
    sys.exit(main())
