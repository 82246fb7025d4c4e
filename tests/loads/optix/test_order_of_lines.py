"""What a record is does not depend on its neighbours: JSON Lines whose rows have different members, in any order."""

import io
import uuid
from contextlib import nullcontext

import pytest

from optimove_provider.loads.spool.every_column import with_every_column
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.records.rows import BATCH_ROWS, Unread
from tests.support.optix_target import Target
from tests.support.optix_transactions import NO_GUARDS, night

FEW = [f'{{"id":"{number}"}}' for number in range(BATCH_ROWS)]
LAST = '{"id":"z","v":1}'
BAD = '{"id":"y","w":1,"w":2}'


def text(lines):
    return "\n".join(lines).encode()


def source(lines):
    return lambda: nullcontext(json_rows(io.BytesIO(text(lines)), "x.jsonl"))


@pytest.mark.parametrize("at", [0, 5, BATCH_ROWS])
def test_every_batch_has_every_column(at):
    with with_every_column(source([*FEW[:at], LAST, *FEW[at:]]))() as rows:
        batches = list(rows)
    assert {tuple(sorted(batch.schema.names)) for batch in batches} == {("id", "v")}
    assert sum(batch.num_rows for batch in batches) == BATCH_ROWS + 1


def test_rows_are_the_same_but_for_the_columns_that_they_lack():
    lines = [*FEW[:2], BAD, '{"id":"a","doc":{"b":[1]},"n":1.50,"big":12345678901234567890}', "no JSON", LAST]
    with source(lines)() as rows, with_every_column(source(lines))() as again:
        for one, other in zip(rows, again, strict=True):
            if isinstance(one, Unread):
                assert one == other
            else:
                assert one == other.select(one.schema.names)
                assert all(
                    other[name].null_count == other.num_rows for name in set(other.schema.names) - set(one.schema.names)
                )


def test_members_of_lines_that_are_no_rows_are_no_columns():
    with with_every_column(source([BAD, *FEW[:3]]))() as rows:
        items = list(rows)
    assert [item.reason for item in items if isinstance(item, Unread)] == ["an object names a member twice"]
    assert {name for item in items if not isinstance(item, Unread) for name in item.schema.names} == {"id"}


def test_a_source_without_rows_stays_one():
    with with_every_column(lambda: nullcontext(iter(())))() as rows:
        assert list(rows) == []


@pytest.mark.parametrize("nulls", ["null", "refuse", "omit"])
def test_the_order_of_lines_changes_nothing(tmp_path, nulls):
    target, told = Target(tmp_path), []
    for number, lines in enumerate(([*FEW, LAST], [LAST, *reversed(FEW)])):
        how = {"mode": "changed", "source_is": "snapshot", "guards": NO_GUARDS, "nulls": nulls, "max_rejected": 0.99999}
        rows = json_rows(io.BytesIO(text(lines)), "x.jsonl")
        told.append(target.load(rows, str(uuid.uuid4()), generation=night(number), **how))
    first, second = told
    assert first.rejected == second.rejected == (BATCH_ROWS if nulls == "refuse" else 0)
    assert (second.accepted, second.plan["changed"]) == (0, 0)
