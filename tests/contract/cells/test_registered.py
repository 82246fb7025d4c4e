"""What a table lists as its attributes: archived ones, replacements, and those that nobody can use."""

import itertools
import re

import pytest

from optimove_provider.contract.cells.datatypes import Attribute, in_unit
from optimove_provider.contract.cells.registered import (
    UnusableAttribute,
    one_of_each_name,
    problems,
    registered,
    usable,
)
from optimove_provider.contract.wire.members import OddMember


def entry(id, name="ltv", datatype="long", **more):
    return {"id": id, "name": name, "datatype": datatype, "format": None, "archived": False, **more}


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ({"datatype": "geo"}, r"attribute 'ltv' \(id 7\) has datatype 'geo', which is unknown here"),
        ({"datatype": "datetime", "format": "rfc-2822"}, "datatype 'datetime' and format 'rfc-2822', which is unknown"),
        ({"datatype": "datetime"}, "datatype 'datetime' and format 'None'"),
        ({"datatype": None}, "datatype 'None'"),
        ({"datatype": ["long"]}, "datatype"),
        ({"archived": "false"}, "attribute 'ltv': archived is a text of another form"),
        ({"id": 1.5}, "id is a number with a decimal point"),
    ],
)
def test_what_cannot_be_used_says_why_and_what_to_do(odd, told):
    found = registered(entry(7, **odd) if "id" not in odd else {**entry(7), **odd})
    assert isinstance(found, UnusableAttribute)
    assert not usable([found])
    assert not hasattr(found, "rule")
    assert not hasattr(found, "datatype")
    (problem,) = problems([found]).values()
    assert re.search(told, problem)
    assert "archive it and create a replacement" in problem


@pytest.mark.parametrize(
    ("id", "found"), [("123", 123), (123, 123), ("12a", None), (True, None), (1.5, None), (None, None)]
)
def test_the_id_of_what_cannot_be_used_is_read_as_any_other(id, found):
    unusable = registered({**entry(7, datatype="geo"), "id": id})
    assert (type(unusable), unusable.id) == (UnusableAttribute, found)
    assert f"(id {found})" in unusable.problem


def test_what_has_no_name_is_no_attribute():
    for name in (None, "", 7):
        with pytest.raises(OddMember, match="name is"):
            registered(entry(7, name))


OLD, OLDER = entry(1, archived=True), entry(2, datatype="geo", archived=True)
LIVE, TWIN, OTHER = entry(3, datatype="double"), entry(4, datatype="double"), entry(5, "vip", "bool")


@pytest.mark.parametrize("listed", list(itertools.permutations([OLD, OLDER, LIVE, OTHER])))
def test_the_live_one_of_a_name_counts_in_any_order(listed):
    found = one_of_each_name(map(registered, listed))
    assert {(one.name, one.kind, one.id) for one in usable(found)} == {("ltv", "double", 3), ("vip", "bool", 5)}
    assert not problems(found)


@pytest.mark.parametrize("listed", list(itertools.permutations([OLD, OLDER])))
def test_where_all_are_archived_the_name_is(listed):
    (found,) = one_of_each_name(map(registered, listed))
    assert found.archived
    assert not problems([found])


@pytest.mark.parametrize("listed", list(itertools.permutations([OLD, LIVE, TWIN])))
def test_two_live_ones_of_a_name_are_none_and_both_are_named(listed):
    (found,) = one_of_each_name(map(registered, listed))
    (problem,) = problems([found]).values()
    assert "(id 3 and 4)" in problem or "(id 4 and 3)" in problem
    assert "archive all but one" in problem


def test_a_unit_is_given_to_what_has_one():
    found = in_unit([Attribute("seen", "datetime", "epoch"), registered(entry(7, datatype="geo"))], "milliseconds")
    assert found[0].epoch_unit == "milliseconds"
    assert isinstance(found[1], UnusableAttribute)


@pytest.mark.parametrize("description", ["long " * 2000, 7, ["a"], {"en": "a"}, None])
def test_a_description_of_any_kind_blocks_no_column(description):
    found = registered(entry(7, description=description))
    assert usable([found])
    assert found.description == (description if isinstance(description, str) else None)
