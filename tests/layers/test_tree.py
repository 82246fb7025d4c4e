"""Where code and tests stand: small folders that say what they are for, tests beside what they test, helpers apart."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE, TESTS = ROOT / "optimove_provider", ROOT / "tests"
MOST_MODULES = 10
WIDER = {
    "optimove_provider/contract/dcp": 11,
    "optimove_provider/demo": 11,
    "optimove_provider/loads/optix": 11,
    "optimove_provider/operators": 12,
}
"""Folders that may hold more, and how many."""
OF_NO_FOLDER = {"backfill", "cli", "compose", "dags", "data", "docs", "endurance", "formats", "layers", "loads/crash"}
OF_NO_FOLDER |= {"on_airflow", "simulation", "support", "typed", "unknowns"}
"""Folders of tests that stand for no folder of the package."""


def folders(top):
    """A folder and those below it that hold code, as paths from the root."""
    return sorted({path.parent.relative_to(ROOT).as_posix() for path in top.rglob("*.py")})


def imported(path):
    """The names of all modules that a file imports, anywhere in it, and of all that it takes from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{name.name}" for name in node.names)


def of_a_test(name):
    """Whether a dotted name leads through a test module or to a test; something of the package may be called so too."""
    top, *below = name.split(".")
    return top != PACKAGE.name and any(part.startswith("test_") for part in (top, *below))


@pytest.mark.parametrize("top", ["tests", "benchmarks"])
def test_nothing_imports_from_a_test_module(top):
    files = (ROOT / top).rglob("*.py")
    found = [f"{path.relative_to(ROOT)}: {name}" for path in files for name in imported(path) if of_a_test(name)]
    assert found == []


@pytest.mark.parametrize("folder", [folder for folder in folders(TESTS) if folder != "tests"])
def test_a_folder_of_tests_stands_for_one_of_the_package_or_is_listed(folder):
    inside = Path(folder).relative_to("tests")
    assert PACKAGE.joinpath(inside).is_dir() or {inside.parts[0], inside.as_posix()} & OF_NO_FOLDER


@pytest.mark.parametrize("folder", folders(TESTS / "on_airflow"))
def test_a_folder_of_tests_on_airflow_stands_for_one_of_the_package(folder):
    assert PACKAGE.joinpath(Path(folder).relative_to("tests/on_airflow")).is_dir()


@pytest.mark.parametrize("folder", [*folders(PACKAGE), *folders(TESTS / "support")])
def test_a_folder_holds_few_modules(folder):
    modules = [path.name for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= WIDER.get(folder, MOST_MODULES)


@pytest.mark.parametrize("folder", folders(PACKAGE))
def test_a_folder_of_the_package_says_what_it_is_for(folder):
    assert ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))
