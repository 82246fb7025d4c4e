"""A key in rows that several tasks have read, of a load that was not planned yet."""

from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.loads.erasure.forgotten_key import ForgottenKey
from optimove_provider.loads.erasure.frozen_rows import forget_in_loads
from optimove_provider.loads.sharded.source_parts import (
    PartsListedAnew,
    Settled,
    freeze_part,
    list_parts,
    read_part,
)
from optimove_provider.loads.spool import frozen_parts
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.read.parts import Part
from optimove_provider.records.read.typed_columns import Columns
from optimove_provider.records.rows import Unread
from optimove_provider.records.to_json.encoding import Encoding

LOAD = "6f0f5d3a-0000-4000-8000-00000000000a"
ROWS = {
    "text": [pa.record_batch({"n": [1, 2], "id": ["a-1", "a-2"]})],
    "whole number": [pa.record_batch({"id": pa.array([41, 42], pa.int64())})],
    "decimal": [pa.record_batch({"id": pa.array([Decimal(41), Decimal(42)], pa.decimal128(20, 0))})],
    "dictionary": [pa.record_batch({"id": pa.array(["a-1", "a-2"]).dictionary_encode()})],
    "mixed": list(Columns().of_items([{"id": "a-1"}, {"id": 42}])),
    "nested": [pa.record_batch({"id": ["x", "y"], "who": pa.array([{"id": "a-1"}, {"id": "a-2"}])})],
    "not read": [Unread('{"id": "a-2", broken', "not JSON")],
}
KEYS = {"whole number": "42", "decimal": "42", "mixed": "42"}


def read(tmp_path, rows):
    @contextmanager
    def open_part(part):
        yield iter(rows)

    staging = Staging(LocalFileSystem(), str(tmp_path))
    settled = Settled(datetime(2026, 11, 1, tzinfo=UTC), Encoding("id", "string", "omit"))
    (part,) = list_parts(staging, LOAD, [Part(("customers.jsonl",))], settled)
    read_part(staging, part, open_part)
    return staging, part


@pytest.mark.parametrize("kind", ROWS)
def test_what_was_read_goes_as_a_whole_where_it_has_the_key(tmp_path, kind):
    staging, part = read(tmp_path, ROWS[kind])
    key = ForgottenKey(KEYS.get(kind, "a-2"))
    assert len(list(forget_in_loads(staging, key, lambda _: True, {}, change=False))) == 1
    (told,) = forget_in_loads(staging, key, lambda _: True, {})
    assert f"all frozen rows of load {LOAD}" in told
    assert staging.names(f"loads/{LOAD}") == []
    with pytest.raises(PartsListedAnew, match="Clear the whole group"):
        freeze_part(staging, part)


def test_what_was_frozen_of_a_part_goes_too(tmp_path):
    staging, part = read(tmp_path, ROWS["text"])
    freeze_part(staging, part)
    staging.remove(staging.read(part.read_path)["file"])
    assert list(forget_in_loads(staging, ForgottenKey("a-3"), lambda _: True, {})) == []
    assert len(list(forget_in_loads(staging, ForgottenKey("a-2"), lambda _: True, {}))) == 1
    assert staging.names(f"loads/{LOAD}") == []


@pytest.mark.parametrize("kind", ROWS)
def test_what_has_another_key_stays(tmp_path, kind):
    staging, part = read(tmp_path, ROWS[kind])
    assert list(forget_in_loads(staging, ForgottenKey("b-77"), lambda _: True, {})) == []
    assert freeze_part(staging, part)["rows"] == (1 if kind == "not read" else 2)


def test_a_number_is_no_key_because_a_row_has_it(tmp_path):
    """Keys lie beside the numbers of their rows."""
    staging, part = read(tmp_path, ROWS["dictionary"])
    freeze_part(staging, part)
    assert list(forget_in_loads(staging, ForgottenKey("1"), lambda _: True, {})) == []
    folder = staging.read(part.frozen_path)["folder"]
    for name in staging.names(folder):
        if not name.endswith(frozen_parts.KEYS):
            staging.remove(f"{folder}/{name}")
    staging.remove(staging.read(part.read_path)["file"])
    assert len(list(forget_in_loads(staging, ForgottenKey("a-1"), lambda _: True, {}))) == 1


def test_what_a_late_task_has_left_of_a_finished_load_goes_and_its_story_stays(tmp_path):
    staging, part = read(tmp_path, ROWS["text"])
    freeze_part(staging, part)
    story = {"format": 1, "stage": "finished", "result": {"rows": 2}}
    staging.write(f"loads/{LOAD}/load.json", story)
    assert list(forget_in_loads(staging, ForgottenKey("b-77"), lambda _: True, {})) == []
    told = list(forget_in_loads(staging, ForgottenKey("a-2"), lambda _: True, {}))
    assert told == [f"rows that a task of load {LOAD} has frozen after it had ended"]
    assert list(forget_in_loads(staging, ForgottenKey("a-2"), lambda _: True, {})) == []
    assert staging.read(f"loads/{LOAD}/load.json") == story


def test_what_is_damaged_goes(tmp_path):
    staging, part = read(tmp_path, ROWS["text"])
    path = staging.path(staging.read(part.read_path)["file"])
    with open(path, "r+b") as file:
        file.truncate(40)
    assert len(list(forget_in_loads(staging, ForgottenKey("b-77"), lambda _: True, {}))) == 1
