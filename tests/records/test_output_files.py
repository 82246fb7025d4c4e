"""Outputs are complete or absent, nobody else's file is touched on the way, and no input is an output."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.records.output_files import check_outputs, written_files

MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has it


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names, content=b"new"):
    with written_files(names) as files:
        for file in files:
            file.write(content)


def link(name, to):
    Path(name).symlink_to(to)


@pytest.mark.parametrize("other", ["a.csv.part", "a.csv.tmp", "a.csv~", ".a.csv", "a.csv.new"])
def test_no_other_file_is_touched(folder, other):
    Path(other).write_bytes(b"precious")
    write("a.csv")
    assert Path(other).read_bytes() == b"precious"
    assert {one.name for one in folder.iterdir()} == {"a.csv", other}


def test_outputs_get_their_names_together(folder):
    Path("a").write_bytes(b"old")
    with written_files(["a", "b"]) as files:
        files[0].write(b"half")
        files[0].flush()
        assert (Path("a").read_bytes(), Path("b").exists()) == (b"old", False)
    assert (Path("a").read_bytes(), Path("b").read_bytes()) == (b"half", b"")


def test_a_failure_leaves_what_was_there(folder):
    Path("a").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), written_files(["a", "b"]):
        raise ZeroDivisionError
    assert Path("a").read_bytes() == b"old"
    assert [one.name for one in folder.iterdir()] == ["a"]


def test_a_link_is_replaced_and_what_it_leads_to_stays():
    Path("victim").write_bytes(b"precious")
    link("a", "victim")
    write("a")
    assert (Path("victim").read_bytes(), Path("a").read_bytes(), Path("a").is_symlink()) == (b"precious", b"new", False)


def test_a_link_that_leads_nowhere_makes_no_file_there():
    link("a", "nowhere")
    write("a")
    assert (Path("nowhere").exists(), Path("a").read_bytes()) == (False, b"new")


def test_another_name_of_the_same_file_keeps_what_it_has():
    Path("other").write_bytes(b"precious")
    os.link("other", "a")
    write("a")
    assert (Path("other").read_bytes(), Path("a").read_bytes()) == (b"precious", b"new")


def test_only_the_owner_may_read_what_is_written():
    write("a")
    assert stat.S_IMODE(Path("a").stat().st_mode) == 0o600


def test_pipes_and_devices_are_written_to_and_stay():
    os.mkfifo("pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    write("pipe", "/dev/null")
    reader.join(10)
    assert read == [b"new"]
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", ["x" * 250, "é" * 120, "-"])
def test_any_name_that_a_file_may_have_may_be_an_output(name):
    write(name)
    assert Path(name).read_bytes() == b"new"


def test_the_descriptor_of_a_process_is_no_folder_to_put_files_in():
    with open("there", "wb") as file:
        for descriptor in (f"/proc/self/fd/{file.fileno()}", f"/dev/fd/{file.fileno()}"):
            write(descriptor)
            assert Path("there").read_bytes() == b"new"


@pytest.mark.skipif(not MEMORY.is_dir(), reason="no such folder here")
def test_files_in_memory_are_files_like_any_others(monkeypatch):
    """A failure left half a file there once, since whatever lies below /dev was taken for a device."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        monkeypatch.chdir(folder)
        test_a_failure_leaves_what_was_there(Path(folder))
        with pytest.raises(SettingsError):
            check_outputs(["a"], [str(Path(folder, "a"))])


@pytest.mark.parametrize("output", ["in", "./in", "soft", "hard", "soft2", "folder/../in"])
def test_an_input_is_no_output_under_whatever_name(output):
    Path("in").write_bytes(b"x")
    Path("folder").mkdir()
    link("soft", "in")
    link("soft2", "soft")
    os.link("in", "hard")
    with pytest.raises(SettingsError, match="named twice, or is another name of the same file"):
        check_outputs(["in"], [output])


@pytest.mark.parametrize("url", ["file://{}/in", "FILE://{}/in", "local://{}/in", "file://conn_id@{}/in"])
def test_an_input_is_no_output_when_a_url_names_it(folder, url):
    Path("in").write_bytes(b"x")
    with pytest.raises(SettingsError, match="named twice, or is another name of the same file"):
        check_outputs([url.format(folder)], ["in"])
    check_outputs([url.format(folder), "s3://bucket/in"], ["out"])


KILLED = """
import os, signal, sys
from optimove_provider.records.output_files import written_files
with written_files(["a", "b"]) as files:
    files[0].write(b"customers")
    files[0].flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_one(folder):
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    left = [one.name for one in folder.iterdir()]
    assert len(left) == 2
    with written_files(["c"]) as files:
        files[0].write(b"under way")
        write("d")  # which leaves what is being written alone
    assert {one.name for one in folder.iterdir()} == {"c", "d"}
    assert Path("c").read_bytes() == b"under way"


def test_an_output_has_a_name():
    with pytest.raises(SettingsError, match="an output without a name"):
        check_outputs(["in"], [""])


def test_two_outputs_are_two_files():
    Path("a").write_bytes(b"x")
    link("b", "a")
    for outputs in (["a", "b"], ["new", "./new"]):
        with pytest.raises(SettingsError, match="named twice"):
            check_outputs([], outputs)
    check_outputs(["in"], ["/dev/null", "/dev/null", "out"])


@pytest.mark.parametrize("output", [".", "nowhere/a", "in/a"])
def test_what_cannot_be_written_is_told_before_the_work(output):
    Path("in").write_bytes(b"x")
    with pytest.raises(SettingsError, match="cannot be written: give a file in a folder that exists"):
        check_outputs(["in"], [output])
