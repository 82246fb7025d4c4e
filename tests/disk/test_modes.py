"""Who may read what is written, whatever the umask: only its owner, or the group where staging is shared."""

import os
import stat

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.disk import modes
from optimove_provider.disk.modes import GROUP, PRIVATE, make_folders, open_private
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.compare_and_swap import Seen
from optimove_provider.loads.state.staging import FOLDERS, Staging


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture(autouse=True)
def _tried(monkeypatch):
    monkeypatch.setattr(modes, "_TRIED", set())


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def modes_below(top):
    """The modes of the folders and of the files in a folder, itself among them."""
    folders, files = {mode(top)}, set()
    for path in top.rglob("*"):
        (folders if path.is_dir() else files).add(mode(path))
    return folders, files


def write_everything(staging):
    """All ways in which something comes into staging."""
    staging.write("loads/1/load.json", {"a": 1})
    staging.write_text("reports/1.html", "<p>")
    staging.create("connections/1.json", {})
    with staging.open_new("loads/1/rows-1/part.parquet") as file:
        file.write(b"x")
    staging.link("loads/1/rows-1/part.parquet", "ledgers/t/layers/part.parquet")
    assert compare_and_swap.replace(
        staging.fs, staging.path("ledgers/t/manifest.json"), b"{}", Seen(None, None), staging.modes
    )


@pytest.mark.parametrize("wanted", [PRIVATE, GROUP], ids=["private", "group"])
def test_every_file_and_folder_of_staging_has_its_mode(tmp_path, umask, wanted):
    staging = Staging(LocalFileSystem(), f"{tmp_path}/new/staging", modes=wanted)
    write_everything(staging)
    assert modes_below(tmp_path / "new") == ({wanted.folder}, {wanted.file})
    assert {path.name for path in (tmp_path / "new/staging").iterdir()} <= FOLDERS


@pytest.mark.parametrize(("before", "wanted"), [((0o644, 0o755), PRIVATE), ((0o600, 0o700), GROUP)])
def test_staging_of_before_gets_the_modes_when_it_is_next_written(tmp_path, before, wanted):
    root = tmp_path / "staging"
    write_everything(Staging(LocalFileSystem(), str(root), modes=PRIVATE))
    for path in (root, *root.rglob("*")):
        path.chmod(before[path.is_dir()])
    Staging(LocalFileSystem(), str(root), modes=wanted).write("reports/2.json", {})
    assert modes_below(root) == ({wanted.folder}, {wanted.file})


def test_what_is_not_ours_beside_staging_keeps_its_mode(tmp_path):
    (tmp_path / "dags").mkdir(mode=0o755)
    (tmp_path / "airflow.cfg").write_text("")
    tmp_path.chmod(0o755)
    (tmp_path / "reports").mkdir(mode=0o755)
    (tmp_path / "reports/1.json").write_text("{}")
    Staging(LocalFileSystem(), str(tmp_path)).write("reports/2.json", {})
    assert [mode(tmp_path / name) & 0o077 for name in ("", "dags", "airflow.cfg")] == [0o055, 0o055, 0o044]
    assert modes_below(tmp_path / "reports") == ({0o700}, {0o600})


def test_links_are_not_followed_when_modes_are_set(tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("")
    other.chmod(0o644)
    folder = tmp_path / "staging/reports"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "1.json").symlink_to(other)
    Staging(LocalFileSystem(), f"{tmp_path}/staging").write("reports/2.json", {})
    assert (mode(other), mode(folder)) == (0o644, 0o700)


def test_a_disk_that_keeps_no_modes_is_told_of_once(tmp_path, caplog, monkeypatch):
    """A report of a share mounted with fixed modes: each write walked the whole folder, and warned."""
    folder = tmp_path / "share/reports"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    monkeypatch.setattr(os, "chmod", lambda *_, **__: None)
    for number in range(3):
        Staging(LocalFileSystem(), f"{tmp_path}/share").write(f"reports/{number}.json", {})
    assert caplog.text.count("staging_mode") <= 2  # of the root, and of the folder
    assert "chmod" in caplog.text


def test_a_file_that_is_there_already_gets_the_mode_when_it_is_written_anew(tmp_path, umask):
    path = tmp_path / "out.csv"
    path.touch()
    path.chmod(0o644)
    with open_private(path) as file:
        assert mode(path) == 0o600
        file.write(b"customer")
    assert (mode(path), path.read_bytes()) == (0o600, b"customer")


def test_what_is_no_file_keeps_its_mode():
    before = mode("/dev/null")
    with open_private("/dev/null") as file:
        file.write(b"x")
    assert mode("/dev/null") == before


def test_folders_that_are_missing_above_are_private_too(tmp_path, umask):
    make_folders(tmp_path / "a/b/c")
    assert modes_below(tmp_path / "a") == ({0o700}, set())
