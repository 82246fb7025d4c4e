"""Each test that docs/peers-tests.md sets beside one of another tool is there; the page is what the table prints."""

import ast
import runpy
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINTED = runpy.run_path(str(ROOT / "docs" / "print_peers_tests.py"))
SUITES = PRINTED["suites"]()
ROWS = [row for suite in SUITES for row in suite["row"]]


@cache
def names_in(path):
    """The names of the tests of a file, none where there is no file."""
    if not (ROOT / path).is_file():
        return frozenset()
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef))


def test_the_page_is_what_the_table_prints():
    assert PRINTED["PAGE"].read_text("utf-8") == PRINTED["page"](), "run: python docs/print_peers_tests.py"


def test_every_test_that_is_named_is_there():
    named = {one.partition("::")[::2] for row in ROWS for one in row.get("ours", ())}
    gone = sorted(f"{path}::{name}" for path, name in named if name not in names_in(path))
    assert not gone, "tests were renamed or removed: mend docs/peers-tests.toml"
    assert all(name.startswith("test_") for _, name in named)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite["title"].partition(":")[0])
def test_each_row_is_answered_and_each_of_their_tests_listed_once(suite):
    for row in suite["row"]:
        assert set(row) <= {"theirs", "asks", "ours", "not"}, row
        assert row["theirs"], row
        assert row["asks"], row
        assert row.get("ours") or row.get("not"), row
        assert row.get("not", ".").endswith("."), row
    listed = [name for row in suite["row"] for name in row["theirs"]]
    assert len(listed) == len(set(listed))
