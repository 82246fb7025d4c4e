"""Members of answers: each is of its kind, or an OddMember that shows nothing of it."""

import pytest

from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.members import OddMember

UUID = "0b9d6c1e-0000-4000-8000-000000000000"
ANY = [None, "", " ", "x", "7", 0, 7, -7, 7.0, True, False, [], ["x"], {}, {"x": 1}, UUID, 10**30, "9" * 30, "x" * 5000]


def taken(reader, name="it"):
    """The values of ANY that a reader takes, as it gives them."""
    found = []
    for value in ANY:
        try:
            found.append((value, reader({name: value}, name)))
        except OddMember as error:
            odd = str(error)
            if name not in odd or "x" * 9 in odd:
                pytest.fail(odd)
    return found


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        (members.text, [("x", "x"), ("7", "7"), (UUID, UUID), ("9" * 30, "9" * 30)]),
        (members.number, [("7", 7), (7, 7)]),
        (members.number_or_none, [(None, None), ("7", 7), (7, 7)]),
        (members.flag, [(None, False), (True, True), (False, False)]),
        (members.uuid, [(UUID, UUID)]),
        (members.values, [(None, {}), ([], {}), ({}, {}), ({"x": 1}, {"x": 1})]),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_only_what_is_of_its_kind_is_taken(reader, expected):
    assert repr(taken(reader)) == repr(expected)  # True is no 1, and 7.0 no 7


def test_a_text_that_need_not_be_there_may_be_empty_or_null():
    assert [value for value, _ in taken(members.text_or_none)] == [None, "", " ", "x", "7", UUID, "9" * 30]


def test_a_customer_may_have_a_number_of_any_size_but_no_other_kind():
    assert [value for value, _ in taken(members.customer_id)] == ["x", "7", 0, 7, -7, UUID, 10**30, "9" * 30]


@pytest.mark.parametrize("found", [None, [], "x", 7])
def test_what_is_no_object_has_no_members(found):
    for reader in (members.text, members.number, members.flag, members.uuid, members.values):
        with pytest.raises(OddMember, match="expected an object"):
            reader(found, "it")
