"""Whether the tests of a module notice when the module is changed: mutmut changes one thing at a time, and runs them.

`make mutate` tries a sample that a seed draws of contract, records and loads, or modules that are named with
MODULE="loads/plan/grain.py loads/plan/guards.py". A change that no test notices survives, and is printed.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "optimove_provider"
ROOMS = ("contract", "records", "loads")
PLACE = ROOT / ".run/mutation"
FATES = {0: "survived", 1: "killed", 3: "killed", 5: "without a test", 33: "without a test", 36: "timed out"}
FATES |= {-24: "timed out", 24: "timed out", 152: "timed out", -6: "killed", -11: "killed"}
TESTED_IN = {
    "contract/dcp/config.py": ["tests/contract/dcp"],
    "loads/dcp/in_doubt.py": ["tests/loads/dcp/test_in_doubt.py", "tests/loads/evidence/test_upload_history.py"],
    "loads/ledger/lease.py": ["tests/loads/ledger/test_lease.py", "tests/loads/ledger/test_public_reports.py"],
    "loads/plan/guards.py": ["tests/loads/plan/test_guards.py", "tests/loads/optix/test_guards.py"],
    "records/arrow/dates_and_times.py": ["tests/records/to_json", "tests/records/arrow"],
    "records/csv_syntax": ["tests/records/validate", "tests/records/read/test_csv_rows.py"],
}
"""Modules and folders whose tests lie elsewhere, too."""
# Tests that say the same on every version are wanted here, unlike on the lowest: those of ids are all of that kind.
# Each mutant begins as a process that has imported no test. One forked with threads of DuckDB or S3 may hang; and
# pytest escapes the backslashes of a parameter's name once more each time it collects, so that it finds no such test.
CONFIG = """
[tool.mutmut]
source_paths = ["{package}"]
only_mutate = ["{package}/{module}"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "--no-header", "-q"]
pytest_add_cli_args_test_selection = [{tests}]
also_copy = ["dags", "docs", "benchmarks", "README.md"]
process_isolation = "forkserver"
forkserver_warmup = "none"
timeout_constant = 15.0
timeout_multiplier = 4.0
"""


def modules(room):
    """The modules of a room that have tests, by path from the package."""
    paths = (path.relative_to(ROOT / PACKAGE) for path in (ROOT / PACKAGE / room).rglob("*.py"))
    return sorted(path.as_posix() for path in paths if path.name != "__init__.py" and tests_of(path))


def tests_of(module):
    """Its own tests, or those of its folder, or where else they lie, as paths from the root."""
    own = Path("tests", module).with_name(f"test_{Path(module).name}")
    folder = own.parent
    if elsewhere := TESTED_IN.get(module) or TESTED_IN.get(Path(module).parent.as_posix()):
        return elsewhere
    if (ROOT / own).exists():
        return [own.as_posix()]
    return [folder.as_posix()] if list((ROOT / folder).glob("test_*.py")) else []


def prepared(module):
    """A copy of the tree whose only module to be changed is this one."""
    place = PLACE / module.removesuffix(".py").replace("/", ".")
    shutil.rmtree(place, ignore_errors=True)
    for name in (PACKAGE, "tests", "dags", "docs", "benchmarks"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", place)
    tests = ", ".join(json.dumps(one) for one in tests_of(module))
    config = CONFIG.format(package=PACKAGE, module=module, tests=tests)
    (place / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + config)
    return place


def run(place, *names):
    """Have mutmut try mutants by their names; what it says goes into a file."""
    with (place / "mutmut.log").open("a") as log:
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names]
        subprocess.run(command, cwd=place, stdout=log, stderr=subprocess.STDOUT, check=False)


def fates(place, module):
    """{mutant: exit code of its tests, or None before they ran}."""
    found = place / "mutants" / PACKAGE / f"{module}.meta"
    return json.loads(found.read_text())["exit_code_by_key"] if found.exists() else {}


def must(condition, place):
    """Stop where mutmut did not come as far as this: nothing that it did not try counts as noticed."""
    if not condition:
        said = (place / "mutmut.log").read_text().replace("\r", "\n").splitlines()
        sys.exit("\n".join([*said[-30:], f"mutmut did not try all mutants: see {place}/mutmut.log"]))


def tried(module, most, chance):
    """What became of a sample of a module's mutants, by name."""
    place = prepared(module)
    run(place, "none of them")
    must((place / "mutants/mutmut-stats.json").exists(), place)
    names = sorted(fates(place, module))
    drawn = sorted(chance.sample(names, min(most, len(names))))
    run(place, *drawn)
    ended = fates(place, module)
    must(all(ended[name] in FATES for name in drawn), place)
    return place, len(names), {name: FATES[ended[name]] for name in drawn}


def show(place, names):
    """Print what the mutants change."""
    for name in names:
        told = subprocess.run(
            [sys.executable, "-m", "mutmut", "show", name], cwd=place, capture_output=True, text=True, check=False
        )
        lines = [line for line in told.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        print(f"  {name.rpartition('.')[2]}", *(f"    {line}" for line in lines), sep="\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", action="append", help="path below optimove_provider")
    parser.add_argument("--modules", type=int, default=4, help="modules drawn of each room")
    parser.add_argument("--mutants", type=int, default=25, help="mutants drawn of each module")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    chance = random.Random(wanted.seed)
    drawn = wanted.module or [one for room in ROOMS for one in sorted(chance.sample(modules(room), wanted.modules))]
    total = Counter()
    for module in drawn:
        place, made, found = tried(module, wanted.mutants, chance)
        counts = Counter(found.values())
        total += counts
        print(f"{module}: {len(found)} of {made} mutants, {dict(counts)}", flush=True)
        show(place, [name for name, fate in found.items() if fate == "survived"])
    noticed = total["killed"] + total["timed out"]
    print(f"noticed {noticed} of {total.total()} ({noticed / max(total.total(), 1):.0%}): {dict(total)}")


if __name__ == "__main__":
    main()
