"""Rows frozen before the first request: slices, unique keys, and nothing left behind."""

import json
import tracemalloc

import pyarrow as pa
import pytest

from optimove_provider.contract.errors import DataError
from optimove_provider.contract.optix import MAX_RECORDS
from optimove_provider.loads.spool import spooled
from optimove_provider.records.sources import list_batches


def numbered(count, batch_rows=4000):
    for first in range(0, count, batch_rows):
        yield pa.RecordBatch.from_pydict({"id": list(range(first, min(first + batch_rows, count)))})


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (0, ()),
        (1, (1,)),
        (4999, (4999,)),
        (5000, (5000,)),
        (5001, (5000, 1)),
        (10000, (5000, 5000)),
        (10001, (5000, 5000, 1)),
    ],
)
def test_slices_hold_every_row_once_and_in_order(rows, counts):
    with spooled(numbered(rows), "id", "integer") as spool:
        slices = list(spool.slices())
        assert (spool.counts, spool.rows) == (counts, rows)
    assert tuple(part.count for part in slices) == counts
    assert max(counts, default=0) <= MAX_RECORDS
    assert [record["id"] for part in slices for record in json.loads(part.text)] == list(range(rows))


def test_slices_can_be_read_again():
    with spooled(numbered(5001), "id", "integer") as spool:
        assert list(spool.slices()) == list(spool.slices())


def test_a_line_break_in_a_value_does_not_split_a_slice():
    value = "a\nb\r\n\u2028\x85"
    with spooled(list_batches([{"id": value, "n": value}]), "id", "string") as spool:
        (part,) = spool.slices()
    assert json.loads(part.text) == [{"id": value, "n": value}]


@pytest.mark.parametrize(
    ("keys", "key_type", "complaint"),
    [
        (["a", "b", "a"], "string", 'rows 1 and 3 both have id "a"'),
        (["1", "01"], "integer", "rows 1 and 2 both have id 1"),
        ([7, 8, 8], "string", 'rows 2 and 3 both have id "8"'),
        (["a", None], "string", "row 2, column 'id', value None: a key is missing"),
    ],
)
def test_a_doubled_or_missing_key_refuses_the_load(keys, key_type, complaint):
    with (
        pytest.raises(DataError, match=complaint),
        spooled(list_batches([{"id": key} for key in keys]), "id", key_type),
    ):
        pytest.fail("spooled")


@pytest.mark.parametrize("keys", [["a", "A"], ["1", "01"], ["é", "e\u0301"], ["a", "a "], ["\x00", "\x00\x00"]])
def test_keys_that_look_alike_are_two(keys):
    with spooled(list_batches([{"id": key} for key in keys]), "id", "string") as spool:
        assert spool.rows == 2


def test_a_doubled_key_is_found_across_slices():
    batches = [*numbered(5001), pa.RecordBatch.from_pydict({"id": [0]})]
    with pytest.raises(DataError, match="rows 1 and 5002 both have id 0"), spooled(batches, "id", "integer"):
        pytest.fail("spooled")


def test_the_file_is_gone_afterwards():
    with spooled(numbered(1), "id", "integer") as spool:
        pass
    assert spool.file.closed


def test_memory_holds_a_slice_and_not_the_load():
    def peak(rows):
        tracemalloc.start()
        try:
            with spooled(numbered(rows), "id", "integer") as spool:
                for _ in spool.slices():
                    pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(30_000) < 1.5 * peak(10_000)
