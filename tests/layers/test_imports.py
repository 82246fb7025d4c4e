"""What an import brings along, seen by a fresh interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = sorted(ROOT.glob("optimove_provider/contract/**/[!_]*.py"))

SHOW_WHAT_IS_NEW = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def gained(*names):
    """The modules that a fresh interpreter has more of after importing these."""
    arguments = [sys.executable, "-c", SHOW_WHAT_IS_NEW, *names]
    return json.loads(subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def test_the_package_itself_imports_nothing_of_its_own_or_of_others():
    new = gained("typing", "optimove_provider")
    assert [name for name in new if name not in gained("typing")] == ["optimove_provider"]


@pytest.mark.parametrize("module", [path.relative_to(ROOT).with_suffix("").as_posix() for path in CONTRACT])
def test_a_contract_module_needs_the_standard_library_only(module):
    packages = {name.partition(".")[0] for name in gained(module.replace("/", "."))}
    assert packages - sys.stdlib_module_names == {"optimove_provider"}


@pytest.mark.parametrize("module", ["optimove_provider.kinds", "optimove_provider.options"])
def test_what_dag_files_import_of_options_needs_the_standard_library_only(module):
    new = gained(module)
    assert {name.partition(".")[0] for name in new} - sys.stdlib_module_names == {"optimove_provider"}
    assert not [name for name in new if name.startswith(("optimove_provider.loads", "optimove_provider.records"))]
