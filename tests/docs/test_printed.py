"""Docs that are printed from the tables say what the tables say."""

import runpy
from pathlib import Path

import pytest

from optimove_provider.contract.datatypes import RULES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = runpy.run_path(str(DOCS / "print_tables.py"))["PAGES"]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_what_the_table_prints(page):
    printed = PAGES[page]()
    assert DOCS.joinpath(f"{page}.md").read_text("utf-8") == printed, "run: PYTHONPATH=. python docs/print_tables.py"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_printed_with_its_source_and_its_doubts(rule):
    page = DOCS.joinpath("rules.md").read_text("utf-8")
    assert f"## {rule.name}: datatype `{rule.datatype}`" in page
    assert rule.source in page
    for row in (*(dispute.decision for dispute in rule.disputed), *(ours.reason for ours in rule.decided)):
        assert row in page
