"""Under every setting of every guess, the same courses end right, or red with words that say why.

docs/unknowns.toml says which words; what is not allowed there fails here. A switch that no course meets fails too,
unless its line says why no client ever meets it: then one that meets it fails.
"""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from optimove_provider.emulator import Switches
from tests.support.unknowns.cases import PARTS, cases, objections, run_case, run_part, switch_names, table
from tests.support.unknowns.optix_course import OptixCourse
from tests.support.unknowns.quick import quick

DOCS = Path(__file__).parents[2] / "docs"
KNOWN, LINES = table()
MET = [(name, setting) for name, setting in cases() if not KNOWN[name].unmet]


def test_every_switch_has_a_line_and_every_line_a_switch():
    assert sorted(KNOWN) == sorted(switch_names()), "docs/unknowns.toml"
    for one in KNOWN.values():
        settings = {"*", *map(str, one.settings)}
        assert len(one.settings) > 1, f"{one.name}: name settings of a number in `values`"
        assert set(one.red) | set(one.told) <= settings, one.name
        assert set(one.beside) <= set(KNOWN), one.name
    assert all(one["unknown"] and one["why"] and one["part"] for one in LINES)


@pytest.mark.parametrize(("name", "setting"), MET)
def test_a_setting_ends_right_or_says_why_not(name, setting):
    assert objections(KNOWN[name], setting, run_case(name, setting)) == []


@pytest.mark.parametrize(("name", "setting", "objection"), [
    ("absent_key", "404", "primary key that is not there"),
    ("poison", "poison", "1 of 12 rows were rejected"),
    ("object_after_import", "move", "the answer to the request that makes it visible was lost"),
    ("epoch_unit", "milliseconds", "has other values of 'since'"),
])  # fmt: skip
def test_a_claim_that_loads_do_not_depend_on_a_setting_can_fail(name, setting, objection):
    claiming = replace(KNOWN[name], red={}, told={})
    assert any(objection in one for one in objections(claiming, setting, run_case(name, setting)))


def test_a_claim_that_a_note_says_what_is_not_known_can_fail():
    ended = run_case("absent_key", "ignore")
    assert objections(replace(KNOWN["absent_key"], told={}), "ignore", ended)
    assert not objections(KNOWN["absent_key"], "ignore", ended)
    assert objections(KNOWN["absent_key"], "ignore", run_case("absent_key", "upsert"))


@pytest.mark.parametrize("name", [name for name, one in KNOWN.items() if one.unmet])
def test_what_no_client_meets_is_met_by_no_course(name):
    for part in PARTS:
        assert name not in run_part(part, Switches(**KNOWN[name].beside)).met


def test_who_relies_on_no_open_batch_loses_none_that_the_server_forgets():
    with quick() as folder:
        course = OptixCourse(folder, Switches(open_batch_seconds=60.0), resume_within=0)
        course.upload()
    assert set(course.outcomes.values()) == {"right"}
    assert "open_batch_seconds" in course.met


def test_docs_unknowns_is_what_the_matrix_finds():
    page = runpy.run_path(str(DOCS / "print_unknowns.py"))["page"]()
    assert DOCS.joinpath("unknowns.md").read_text("utf-8") == page, "run: python docs/print_unknowns.py"
