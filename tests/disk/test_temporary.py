"""Temporary folders go with their owner: when it ends, or is killed; and never one that somebody lives in.

Kinds of public reports: a data frame library that left its spill files when it was killed, a build tool that swept the
folder of a run that was alive in another container (the same process id), a cleaner that followed a link in /tmp.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from optimove_provider.disk import temporary
from optimove_provider.disk.temporary import TemporaryFolder

PROGRAM = """
import sys, time
from optimove_provider.disk.temporary import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "ids").write_text("customer-1")
print(folder.path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(folder):
    """A process that has a temporary folder."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)}
    ) as process:
        assert process.stdout.readline().strip() == str(next(folder.iterdir()))
        yield process
        process.kill()


def old(path, days=2):
    for one in (*path.rglob("*"), path):
        os.utime(one, (time.time() - days * 86400,) * 2)
    return path


def test_a_folder_is_for_its_owner_and_goes_with_all_that_is_in_it(folder):
    with TemporaryFolder() as made:
        (made.path / "from-1").mkdir()
        (made.path / "from-1/ids.parquet").write_text("customer-1")
        assert made.path.stat().st_mode & 0o777 == 0o700
        assert list(folder.iterdir()) == [made.path]
    assert list(folder.iterdir()) == []
    made.close()


def test_what_a_killed_process_left_is_removed_by_the_next_one(folder, other):
    (left,) = folder.iterdir()
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (left / "ids").exists()
    with TemporaryFolder() as made:
        assert list(folder.iterdir()) == [made.path]


def test_what_a_living_process_uses_stays_however_old_it_is(folder, other):
    (used,) = folder.iterdir()
    old(used, days=400)
    with TemporaryFolder() as mine:
        old(mine.path, days=400)
        TemporaryFolder().close()
        assert mine.path.exists()
    assert (used / "ids").read_text() == "customer-1"


@pytest.mark.parametrize("entry", ["beyond-memory", "12.arrow", "from-3", None])
def test_a_folder_of_an_older_version_goes_after_a_day_without_a_change(folder, entry):
    for name in ("optimove-abcd1234", "optimove-efgh5678"):
        (folder / name).mkdir()
        if entry:
            (folder / name / entry).touch()
    old(folder / "optimove-abcd1234")
    temporary.sweep()
    assert [path.name for path in folder.iterdir()] == ["optimove-efgh5678"]


def test_what_people_named_alike_stays(folder):
    (folder / "optimove-staging/loads").mkdir(parents=True)
    old(folder / "optimove-staging")
    (folder / "optimove-notes.txt").touch()
    (folder / "elsewhere").mkdir()
    (folder / "optimove-link").symlink_to(folder / "elsewhere")
    temporary.sweep()
    assert len(list(folder.iterdir())) == 4


def test_what_belongs_to_another_user_stays(folder, monkeypatch):
    (folder / "optimove-ids-abcd1234").mkdir()
    old(folder / "optimove-ids-abcd1234")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    temporary.sweep()
    assert list(folder.iterdir())


def test_a_child_does_not_remove_the_folder_of_its_parent(folder):
    with TemporaryFolder() as made:
        child = os.fork()
        if not child:
            made.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert made.path.exists()


def test_on_a_disk_without_locks_it_works_too(folder, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(temporary.fcntl, "flock", refuse)
    with TemporaryFolder() as made:
        temporary.sweep()
        assert list(made.path.iterdir()) == []
    assert list(folder.iterdir()) == []
