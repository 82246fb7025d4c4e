"""Docs that are printed from the tables say what the tables say."""

import ast
import runpy
from pathlib import Path

import pytest

from optimove_provider.contract.cells.datatypes import RULES
from optimove_provider.records.csv_syntax import reader
from optimove_provider.records.findings import file_rules
from optimove_provider.records.observe import identifiers
from optimove_provider.records.observe.identifiers import ID_RULES
from optimove_provider.records.observe.pii import PII_RULES, WORDS
from optimove_provider.records.validate import header, row_validator, validate

DOCS = Path(__file__).parents[2] / "docs"
PRINTED = runpy.run_path(str(DOCS / "print_tables.py"))
PAGES, SECTIONS = PRINTED["PAGES"], PRINTED["SECTIONS"]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_what_the_table_prints(page):
    printed = PAGES[page]()
    assert DOCS.joinpath(page).read_text("utf-8") == printed, "run: python docs/print_tables.py"


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_the_section_is_what_the_table_prints(page, section):
    text = DOCS.joinpath(f"{page}.md").read_text("utf-8")
    printed = PRINTED["with_section"](text, section, SECTIONS[page, section]())
    assert text == printed, "run: python docs/print_tables.py"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_printed_with_its_source_and_its_doubts(rule):
    page = DOCS.joinpath("rules.md").read_text("utf-8")
    assert f"## {rule.name}: datatype `{rule.datatype}`" in page
    assert rule.source in page
    for row in (*(dispute.decision for dispute in rule.disputed), *(ours.reason for ours in rule.decided)):
        assert row in page


def test_every_other_rule_is_printed_with_its_severity():
    page = DOCS.joinpath("rules.md").read_text("utf-8")
    declared = [one for one in vars(file_rules).values() if isinstance(one, file_rules.FileRule)]
    assert declared == [rule for rules in file_rules.FILE_RULES.values() for rule in rules]
    for rule in declared:
        assert f"| `{rule.name}` | {rule.severity} | {rule.finds} |" in page
    assert set(WORDS) == set(PII_RULES)


def literals(tree: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_no_rule_is_reported_that_is_not_declared():
    """A finding takes its rule from a table: no call that makes one has a name of its own for it."""
    place = {"Fault": 0, "Finding": 4}
    made = 0
    for path in Path(file_rules.__file__).parents[1].rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in place:
                made += 1
                assert not literals(call.args[place[call.func.id]]), f"{path.name}:{call.lineno}"
    assert made > 10


def test_names_of_rules_are_written_once():
    """Outside of the table, the check spells none of them out."""
    names = {rule.name for rules in file_rules.FILE_RULES.values() for rule in rules} - {"size", "key", *PII_RULES}
    assert set(ID_RULES) <= names
    for module in (validate, row_validator, header, reader, identifiers):
        assert not names & literals(ast.parse(Path(module.__file__).read_text("utf-8"))), module.__name__
