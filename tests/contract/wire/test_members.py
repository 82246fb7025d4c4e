"""Members of answers: what is documented, and nothing that is turned into it."""

import pytest

from optimove_provider.contract.wire.members import (
    OddMember,
    as_identity,
    flag,
    identity,
    kind_of,
    optional_identity,
    optional_text,
    text,
)


@pytest.mark.parametrize(("value", "number"), [(1, 1), (3_000_000_001, 3_000_000_001), ("567", 567)])
def test_an_id_is_a_number_or_its_digits(value, number):
    assert identity({"id": value}) == as_identity(value) == optional_identity({"id": value}, "id") == number


@pytest.mark.parametrize(
    "value",
    [True, False, 0, -1, 7.0, 7.9, "7.0", "", " 7", "07", "\u0667", "1e3", "x", [7], {"id": 7}, 10**18, "9" * 5000],
)
def test_nothing_else_is_an_id(value):
    assert as_identity(value) is None
    for read in (lambda found: identity(found, "id"), lambda found: optional_identity(found, "id")):
        with pytest.raises(OddMember, match=r"id is .*, where an id is expected"):
            read({"id": value})


def test_an_id_that_is_not_there_is_odd_unless_it_may_be_left_out():
    for found in ({}, {"id": None}):
        assert optional_identity(found, "id") is None
        with pytest.raises(OddMember, match=r"id is (missing|null)"):
            identity(found)


@pytest.mark.parametrize("value", [1, True, [], {}, 1.5])
def test_only_a_text_is_a_text_and_the_value_is_not_shown(value):
    for read in (text, optional_text):
        with pytest.raises(OddMember, match=rf"key is {kind_of(value)}, where a text is expected"):
            read({"key": value}, "key")


def test_a_text_that_must_be_there_is_not_empty():
    for found in ({}, {"name": None}, {"name": ""}, {"name": " \t"}):
        with pytest.raises(OddMember, match=r"name is (missing|null|an empty text|a text)"):
            text(found, "name")
    assert [optional_text(found, "name") for found in ({}, {"name": None}, {"name": ""})] == [None, None, ""]


@pytest.mark.parametrize("value", ["false", "true", 0, 1, "", []])
def test_only_true_and_false_are_flags(value):
    with pytest.raises(OddMember, match=r"archived is .*, where true or false is expected"):
        flag({"archived": value}, "archived")


def test_a_flag_that_is_not_there_is_not_set():
    assert [flag(found, "x") for found in ({}, {"x": None}, {"x": False}, {"x": True})] == [False, False, False, True]
