"""What users of other tools have reported about work that several tasks share, tried on parts of a source."""

from contextlib import nullcontext
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.loads.sharded.source_parts import (
    PartMissing,
    PartsListedAnew,
    Settled,
    freeze_part,
    frozen_parts,
    list_parts,
    read_part,
)
from optimove_provider.loads.spool.freeze import Frozen
from optimove_provider.loads.spool.frozen_parts import FrozenParts, PartLost
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.findings.findings import Findings
from optimove_provider.records.read.parts import Part
from optimove_provider.records.rows import Unread
from optimove_provider.records.to_json.encoding import Encoding

pytestmark = pytest.mark.any_version
LOAD = "6f0f5d3a-0000-4000-8000-00000000000a"
SETTLED = Settled(datetime(2026, 11, 30, tzinfo=UTC), Encoding("id", "string", "omit"))


class Source:
    """A source in parts, each a list of what it gives, and the tasks that read and freeze them."""

    def __init__(self, staging, *parts):
        self.staging, self.given = staging, list(parts)
        self.list()

    def list(self):
        parts = [Part(where=f"n = {number}") for number in range(len(self.given))]
        self.parts = list_parts(self.staging, LOAD, parts, SETTLED)

    def read(self, *parts):
        for part in parts or self.parts:
            read_part(self.staging, part, self.open)

    def open(self, part):
        return nullcontext(iter(self.given[int(part.where.removeprefix("n = "))]))

    def freeze(self, *parts):
        for part in parts or self.parts:
            freeze_part(self.staging, part)

    def frozen(self):
        return frozen_parts(self.staging, LOAD, self.parts[0].listing, SETTLED.encoding)

    def records(self):
        """What all parts make together: each row that can be sent with its number."""
        every = FrozenParts(self.frozen)
        folder, aside = f"loads/{LOAD}/spool-0", f"loads/{LOAD}/aside"
        slices = every.put_together(self.staging, "id", folder, aside, Frozen(), Findings()).parts
        sent = slices.read(self.staging, slices.numbers)
        return {
            row: record
            for one in sent
            for row, record in zip(one.rows.to_pylist(), one.records.to_pylist(), strict=True)
        }


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def ids(*keys, **columns):
    return [pa.record_batch({"id": pa.array(keys, pa.string()), **columns})]


def test_a_try_that_was_killed_and_ends_after_the_next_one_does_not_slip_in_its_rows(staging):
    """apache/hive#4899: of a task that was started twice, the killed try committed its files after the other one."""
    source = Source(staging, ids("a", "b"), ids("c"))
    first = source.parts[0]

    def slow(part):
        source.read()
        source.freeze()
        return nullcontext(iter(ids("of an", "hour ago")))

    read_part(staging, first, slow)
    with pytest.raises(PartLost, match=r"not frozen since .*: 1 part \(map index 0\)"):
        source.records()
    source.read(first)
    source.freeze()
    assert list(source.records().values()) == ['{"id":"a"}', '{"id":"b"}', '{"id":"c"}']


def test_a_map_index_that_stands_for_another_part_inherits_nothing(staging):
    """apache/airflow#72725: what a mapped task had kept by its index was taken up for another item, as the list had
    got one more at its beginning."""
    source = Source(staging, ids("a"), ids("b"))
    source.read()
    source.freeze()
    old = source.parts
    source.given.insert(0, ids("z"))
    source.list()
    for do in (source.read, source.freeze):
        with pytest.raises(PartsListedAnew, match="Clear the whole group"):
            do(old[0])
    source.read(source.parts[1], source.parts[2])
    with pytest.raises(PartMissing, match="map index 0"):
        source.freeze(source.parts[1])
    source.read(source.parts[0])
    source.freeze()
    assert list(source.records().values()) == ['{"id":"z"}', '{"id":"a"}', '{"id":"b"}']


def test_a_part_that_no_task_has_read_is_no_empty_part(staging):
    """ClickHouse/spark-clickhouse-connector#580: a list lacked a partition for a moment, and its rows were missing
    without a word."""
    source = Source(staging, ids("a"), ids("b"), [])
    source.read(*source.parts[:1], *source.parts[2:])
    for do in (source.freeze, source.records):
        with pytest.raises(PartMissing, match=r"1 part .*map index 1\)"):
            do()
    source.read(source.parts[1])
    source.freeze(*source.parts[:2])
    with pytest.raises(PartLost, match=r"map index 2\)"):
        source.records()
    source.freeze(source.parts[2])
    assert source.records() == {1: '{"id":"a"}', 2: '{"id":"b"}'}


def test_a_column_without_a_value_in_one_part_has_no_type_for_the_others(staging):
    """atlanhq/application-sdk#3086, pola-rs/polars#7170: where one part had only nulls in a column, it was written as
    text there, and could not be joined with the numbers of the next."""
    numbers, nulls = {"n": pa.array([1.5])}, {"n": pa.nulls(1)}
    source = Source(staging, ids("a", **nulls), ids("b", **numbers), ids("c", **nulls))
    source.read()
    source.freeze()
    assert list(source.records().values()) == ['{"id":"a"}', '{"id":"b","n":1.5}', '{"id":"c"}']


def test_numbers_of_rows_are_told_from_one_to_the_last_through_all_parts(staging):
    """risingwavelabs/risingwave#308: each partition gave its rows numbers of its own, so that several had the same."""
    source = Source(staging, ids("a", "b"), [], [Unread("no row", "of no use"), *ids("c")], ids("d"))
    source.read()
    source.freeze(*reversed(source.parts))
    assert source.records() == {1: '{"id":"a"}', 2: '{"id":"b"}', 4: '{"id":"c"}', 5: '{"id":"d"}'}


def test_two_tries_of_one_part_at_the_same_moment_leave_one_of_them_whole(staging):
    """apache/spark#26971: a second try of a task failed, or wrote among the files of the first, as both had the same
    folder."""
    source = Source(staging, ids("a", "b"), ids("c"))
    source.read(source.parts[1])

    def beside():
        yield from ids("a")
        source.read(source.parts[0])
        yield from ids("b")

    read_part(staging, source.parts[0], lambda _: nullcontext(beside()))
    source.freeze()
    assert list(source.records().values()) == ['{"id":"a"}', '{"id":"b"}', '{"id":"c"}']
