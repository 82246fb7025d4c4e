"""A disk that takes no more says so: which path, what is needed, what is free, what to do.

On a real file system of a megabyte where this user may mount one, and everywhere under a limit for files.
"""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.disk.modes import open_private
from optimove_provider.disk.room import NotWritten, free_bytes, keeping, not_written, telling
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.compare_and_swap import Seen
from optimove_provider.loads.state.staging import Staging
from optimove_provider.records.arrow.duck import temporary_duck
from optimove_provider.records.read.waiting_rows import waiting_rows

MANY = 4_000_000


@pytest.fixture
def limited():
    """No file may be longer than a megabyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def small(tmp_path):
    """A disk of a megabyte."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    size = ("-t", "tmpfs", "-o", "size=1m", "tmpfs")
    if not mount or subprocess.run([mount, *size, str(tmp_path)], check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    yield tmp_path
    subprocess.run([umount, "-l", str(tmp_path)], check=True)


def write(staging):
    staging.write_text("reports/1.html", "x" * MANY)


def create(staging):
    staging.create("connections/1.json", {"x": "x" * MANY})


def stream(staging):
    with staging.open_new("loads/1/part.parquet") as file:
        for _ in range(40):
            file.write(b"x" * 100_000)


def swap(staging):
    compare_and_swap.replace(staging.fs, staging.path("ledgers/t/manifest.json"), b"x" * MANY, Seen(None, None))


WAYS = [write, create, stream, swap]


@pytest.mark.parametrize("way", WAYS)
def test_a_full_staging_says_where_and_how_much(small, way):
    with pytest.raises(NotWritten, match=r"^/.* could not be written: the disk is full: at least [\d,]+ bytes") as told:
        way(Staging(LocalFileSystem(), str(small)))
    assert str(small) in str(told.value)
    assert "bytes are free" in str(told.value)
    assert "make room there" in str(told.value)
    assert told.value.retry_helps


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_may_not_be_so_long_is_told_alike(tmp_path, limited, way):
    staging = Staging(LocalFileSystem(), str(tmp_path))
    with pytest.raises(NotWritten, match=r"a file may not be as large as that .*at least [\d,]+ bytes more"):
        way(staging)
    assert [path for path in tmp_path.rglob("*.new") if path.suffix == ".new"] == []


def test_a_full_temporary_folder_says_so(small, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(small))
    rows = "SELECT hash(range) AS a, hash(range + 1)::VARCHAR AS b FROM range(1000000)"
    with pytest.raises(NotWritten, match=r"optimove-.*the disk is full.*TMPDIR"), temporary_duck("20MB", 1) as db:
        db.execute(f"CREATE TABLE t AS {rows} ORDER BY a, b")
    assert list(small.iterdir()) == []


def test_rows_that_wait_say_so(limited):
    rows = [pa.RecordBatch.from_pydict({"id": [os.urandom(100_000).hex()]}) for _ in range(20)]
    with waiting_rows() as waiting, pytest.raises(NotWritten, match=r"at least [\d,]+ bytes more .*so far.*TMPDIR"):
        waiting.put_aside(rows)


def test_ids_that_find_no_room_say_so(small, tmp_path_factory):
    file = tmp_path_factory.mktemp("in") / "in.csv"
    file.write_text("customerId\n" + "".join(f"{number:x}-{hash(str(number)):x}\n" for number in range(100_000)))
    done = subprocess.run(
        [sys.executable, "-m", "optimove_provider", "validate", str(file), "--primary-key", "customerId"],
        env={**os.environ, "TMPDIR": str(small)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "the disk is full" in done.stderr
    assert "TMPDIR" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(small.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: at least 7 bytes more are needed"),
        (errno.EDQUOT, "quota is used up: at least 7 bytes more are needed"),
        (errno.EROFS, "read-only; "),
        (errno.EACCES, "permission denied; let this user write there"),
    ],
)
def test_each_reason_has_its_words(tmp_path, number, words):
    told = not_written(OSError(number, os.strerror(number)), tmp_path / "a", 7)
    assert words in str(told)


def test_what_is_not_about_the_disk_stays_what_it_is(tmp_path):
    for error in (OSError("S3 says no"), ConnectionResetError(errno.ECONNRESET, "gone"), ValueError("x")):
        with pytest.raises(type(error)), telling(tmp_path):
            raise error
    with pytest.raises(PermissionError), telling(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/source.csv")


def test_free_room_is_told_of_a_file_that_is_not_there_yet(tmp_path):
    assert free_bytes(tmp_path / "a/b/c") == free_bytes(tmp_path)


def test_a_file_that_is_left_because_of_an_error_does_not_hide_it_when_it_cannot_be_closed(tmp_path, limited):
    def fails():
        with open_private(tmp_path / "a") as file:
            file.write(b"x" * (1 << 20))
            file.write(b"x" * 1000)  # held back, until the file is closed
            raise ValueError("the load's own")

    with pytest.raises(ValueError, match="the load's own") as told:
        fails()
    assert "to close a file failed as well" in told.value.__notes__[0]


def test_what_fails_afterwards_is_noted(caplog):
    error = ValueError("the load's own")
    with keeping(error, "to write the report"):
        raise OSError("the disk is full")
    assert error.__notes__ == ["to write the report failed as well: the disk is full"]
    assert "the disk is full" in caplog.text
