"""Slices of long rows have fewer than 5000, so that no request and no memory grows with the length of a row."""

import dataclasses
import json

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import GROUP_BYTES, ROWS, RowGroups, rows_batch
from optimove_provider.loads.spool.slices import RowFiles, RowFilesWriter, one_file
from optimove_provider.loads.state.staging import Staging
from tests.support.optix_target import Killed, Target

pytestmark = pytest.mark.any_version

MEGABYTE = 1 << 20


def batch(numbers, length):
    rows = pa.array(numbers, pa.int64())
    return rows_batch(rows, rows.cast(pa.string()), pa.array(["x" * length] * len(rows)))


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def test_slices_remember_how_long_they_are(staging):
    with RowFilesWriter(staging, "parts") as writer:
        writer.add(batch(range(1, 6002), 1))
        writer.add(batch(range(6002, 6042), MEGABYTE))
    files = writer.written
    assert files.slices == len(files.lengths) >= 4
    assert (files.lengths[0], sum(files.lengths), files.rows, files.last_rows) == (5000, 6041, 6041, files.lengths[-1])
    found = list(files.read(staging, range(files.slices)))
    assert tuple(map(len, found)) == files.lengths
    assert [row for one in found for row in one.rows.to_pylist()] == [*range(1, 6042)]
    assert max(one.records.nbytes for one in found) <= GROUP_BYTES
    assert RowFiles(**json.loads(json.dumps(dataclasses.asdict(files)))).last_rows == files.last_rows


def test_slices_of_short_rows_have_nothing_to_remember(staging):
    with RowFilesWriter(staging, "parts") as writer:
        writer.add(batch(range(1, 10_002), 1))
    assert (writer.written.lengths, writer.written.slices, writer.written.last_rows) == ((), 3, 1)


def test_the_slices_of_a_plan_are_told_by_its_file(staging):
    rows = row_files.write(staging, "plan/rows.parquet", [batch(range(40), MEGABYTE)], ROWS)
    files = one_file(staging, "plan", rows)
    assert (files.rows, files.slices) == (40, len(files.lengths))
    assert [len(one) for one in files.read(staging, range(files.slices))] == [*files.lengths]
    assert one_file(staging, "nowhere", 0).slices == 0


@given(st.lists(st.tuples(st.integers(0, 6000), st.sampled_from([0, 1, 10, 400])), max_size=5))
def test_groups_hold_every_row_once_and_are_no_longer_than_they_may(sizes):
    groups, limit, first, found = RowGroups(ROWS, 100_000), 100_000, 0, []
    for rows, length in sizes:
        found += groups.add(batch(range(first, first + rows), length))
        first += rows
    found += groups.rest()
    assert [row for table in found for row in table.column("_row").to_pylist()] == [*range(first)]
    assert all(0 < table.num_rows <= 5000 for table in found)
    assert all(table.num_rows == 1 or table.nbytes <= limit * 1.1 for table in found)


def test_a_batch_of_long_rows_is_completed_once_though_the_process_dies_then(tmp_path):
    target = Target(tmp_path)
    rows = [{"id": number, "text": "x" * MEGABYTE} for number in range(40)]
    target.kill_at, target.killed_after = 3, True
    with pytest.raises(Killed):
        target.load([pa.RecordBatch.from_pylist(rows)])
    target.kill_at = 0
    report = target.load([pa.RecordBatch.from_pylist(rows)])
    assert (report.state, report.rows, report.accepted) == ("committed", 40, 40)
    assert max(map(len, target.bodies)) < GROUP_BYTES * 1.1
