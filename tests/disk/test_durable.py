"""What survives a loss of power: files that others name are synced before those are written."""

import os

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.disk import durable
from optimove_provider.disk.modes import open_private
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROWS
from optimove_provider.loads.state.staging import Staging


@pytest.fixture
def synced(monkeypatch):
    """What was synced, in that order: of a file its name and size, of a folder what is in it."""
    found, real = [], os.fsync

    def told(number):
        path = os.readlink(f"/proc/self/fd/{number}")
        is_folder = os.path.isdir(path)
        found.append(sorted(os.listdir(path)) if is_folder else (os.path.basename(path), os.fstat(number).st_size))
        real(number)

    monkeypatch.setattr(os, "fsync", told)
    return found


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def test_a_file_is_synced_when_it_is_closed_and_once(staging, synced):
    file = staging.open_new("loads/a/rejected.jsonl")
    file.write(b"12345")
    assert synced == []
    file.close()
    file.close()
    assert synced == [("rejected.jsonl", 5)]


def test_rows_are_synced_whole(staging, synced):
    rows = pa.record_batch([pa.nulls(3, field.type) for field in ROWS], schema=ROWS)
    row_files.write(staging, "loads/a/rows.parquet", [rows], ROWS)
    size = os.path.getsize(staging.path("loads/a/rows.parquet"))
    assert synced == [("rows.parquet", size)]
    assert size > 100


def test_another_name_is_synced_too(staging, synced):
    with staging.open_new("loads/a/rows.parquet") as file:
        file.write(b"rows")
    staging.link("loads/a/rows.parquet", "ledgers/t/layers/1.parquet")
    assert synced == [("rows.parquet", 4), ["1.parquet"]]


def test_the_name_that_a_file_is_given_is_synced(tmp_path, synced):
    (tmp_path / "new").write_text("1")
    durable.move(tmp_path / "new", tmp_path / "old")
    assert synced == [["old"]]


def test_what_nobody_relies_on_is_not_synced(tmp_path, synced):
    with open_private(tmp_path / "report.csv") as file:
        file.write(b"1")
    assert synced == []
