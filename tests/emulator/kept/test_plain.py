"""Dataclasses as plain values."""

import json
from dataclasses import fields
from typing import Any

import pytest

from optimove_provider.emulator.kept.plain import from_plain, to_plain
from optimove_provider.emulator.model.optix import Batch, Connection, Record
from optimove_provider.emulator.model.switches import Switches


def test_a_connection_is_the_same_after_a_way_through_json():
    record = Record('"a"', {"x": [1, {"y": None}], "half": "\ud800"}, expires=1.5, ttl=3)
    connection = Connection(
        "u", "n", "id", records={'"a"': record}, batches={"b": Batch("b", 1, waiting={"1": record})}
    )
    connection.arriving.append((7.0, {'"a"': record}))
    assert from_plain(Connection, json.loads(json.dumps(to_plain(connection)))) == connection


def test_what_another_version_added_is_left_out_and_what_it_lacks_has_its_default():
    old = {"data_connection_uuid": "u", "name": "n", "primary_key": "id", "colour": "blue"}
    assert from_plain(Connection, old) == Connection("u", "n", "id")
    assert from_plain(Switches, {}) == Switches()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (int, "1"),
        (int, True),
        (str | None, 1),
        (list[int], {"a": 1}),
        (dict[str, int], [1]),
        (tuple[int, str], [1]),
        (Record, {"key": "1"}),
        (Record, [1]),
        (Switches, {"create_status": 204}),
    ],
)
def test_a_value_of_another_type_is_an_error(kind, wrong):
    with pytest.raises(ValueError, match=r"is no|is none of|required|missing"):
        from_plain(kind, wrong)


def test_every_switch_can_be_read_back():
    assert {one.name for one in fields(Switches)} == to_plain(Switches()).keys()
    assert from_plain(Any, {"a": 1}) == {"a": 1}
