"""Small JSON files on three file systems: whole or absent, and of two writers at once one wins."""

import math
import threading

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from optimove_provider.loads.state.staging import Staging

PATH = "reports/2026/é 1.json"


@pytest.fixture(params=["file", "memory"])
def staging(request, tmp_path):
    if request.param == "file":
        return Staging(LocalFileSystem(), f"{tmp_path}/staging/")
    memory = MemoryFileSystem()
    memory.store.clear()
    return Staging(memory, "/staging")


def test_what_was_written_is_read(staging):
    assert staging.read(PATH) is None
    assert staging.write(PATH, {"a": 1, "é": None}) == staging.url(PATH)
    assert staging.read(PATH) == {"a": 1, "é": None}
    staging.write(PATH, {"a": 2})
    assert staging.read(PATH) == {"a": 2}


def test_a_url_opens_the_file(staging):
    url = staging.write(PATH, {"a": 1})
    assert url.startswith(("file:///", "memory://"))
    assert staging.fs.cat_file(url) == b'{"a":1}'


def test_what_cannot_be_written_leaves_the_old_file_and_no_litter(staging):
    staging.write(PATH, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        staging.write(PATH, {"a": math.nan})
    assert staging.read(PATH) == {"a": 1}
    assert len(staging.fs.find(staging.root)) == 1


def test_a_file_is_created_once(staging):
    staging.create(PATH, {"a": 1})
    with pytest.raises(FileExistsError):
        staging.create(PATH, {"a": 2})
    assert staging.read(PATH) == {"a": 1}


def test_a_removed_file_may_be_created_again(staging):
    staging.create(PATH, {"a": 1})
    staging.remove(PATH)
    assert staging.read(PATH) is None
    staging.create(PATH, {"a": 2})


def test_of_many_that_create_at_once_one_wins(tmp_path):
    staging, start, won = Staging(LocalFileSystem(), str(tmp_path)), threading.Barrier(8), []

    def create(number):
        start.wait()
        try:
            staging.create(PATH, {"winner": number})
        except FileExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [staging.read(PATH)] == [{"winner": number} for number in won]


def test_of_many_that_write_at_once_each_writes_a_whole_file(tmp_path):
    """Mapped tasks of one load write down at the same moment that they have taken it up."""
    staging = Staging(LocalFileSystem(), str(tmp_path))
    at_once, failed = threading.Barrier(8), []

    def write(number):
        try:
            at_once.wait(20)
            for _ in range(50):
                staging.write("tries/same.json", {"by": number, "long": "x" * 1000 * number})
                found = staging.read("tries/same.json")
                assert found["long"] == "x" * 1000 * found["by"]
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    found = staging.read("tries/same.json")
    assert found["long"] == "x" * 1000 * found["by"]
    assert staging.names("tries") == ["same.json"]


@pytest.mark.any_version
def test_what_another_process_has_written_since_is_seen(s3):
    """What users of s3fs have reported: by a listing that it keeps, a file has its old length, or is not there."""
    fs, bucket = s3
    own = Staging(fs, f"{bucket}/staging")
    theirs = Staging(type(fs)(**fs.storage_options, skip_instance_cache=True), f"{bucket}/staging")
    for text in (b"short", b"longer than it was before", b"s"):
        with theirs.open_new("reports/a.jsonl") as file:
            file.write(text)
        with own.open("reports/a.jsonl") as file:
            assert file.read() == text
        assert own.names("reports") == list(own.files("reports")) == ["a.jsonl"]
    with pytest.raises(FileNotFoundError):
        own.open("reports/b.jsonl")
    with theirs.open_new("reports/b.jsonl") as file:
        file.write(b"1")
    with own.open("reports/b.jsonl") as file:
        assert file.read() == b"1"
