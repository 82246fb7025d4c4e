"""A command that is told to end: it tidies up, leaves no customers' ids behind, and says what ended it; who may read
what it wrote.

Kinds of public reports: a linter killed by a CI timeout that left copies in /tmp, a container whose stop waited for
SIGKILL, a command under nohup that a closed terminal ended all the same, reports readable by all of a shared host.
"""

import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from optimove_provider.cli import main
from optimove_provider.disk.stopping import Stopped, stopping

ROWS = "".join(f"id-{number:08d},{number}\n" for number in range(2_000_000))


@pytest.fixture(autouse=True)
def as_a_process_begins():
    """With nobody's handlers: Airflow's tests leave some behind, and nohup its own."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def validate(folder):
    """Start a check of a file that does not end, and wait until ids are on the disk: returns it and their files."""
    command = [sys.executable, "-m", "optimove_provider", "validate", "-", "--primary-key", "customerId"]
    split = ["--split", str(folder / "valid.csv"), str(folder / "refused.csv")]
    (folder / "tmp").mkdir(exist_ok=True)
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = {**os.environ, "TMPDIR": str(folder / "tmp")}
    process = subprocess.Popen([*command, *split], env=env, text=True, **pipes)
    process.stdin.write("customerId,n\n" + ROWS)
    process.stdin.flush()
    while not (ids := on_disk(process, folder / "tmp")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process, ids


def on_disk(process, folder):
    """The files with something in them that it has open in a folder, whether they have names or not."""
    found = []
    for path in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(OSError):  # it closes files meanwhile
            found += [path] if os.readlink(path).startswith(str(folder)) and path.stat().st_size else []
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_nothing_is_left_behind(tmp_path, number, code):
    process, _ = validate(tmp_path)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert number.name in errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]


def test_ids_are_on_the_disk_where_nobody_sees_them_and_go_with_the_process(tmp_path):
    process, (ids,) = validate(tmp_path)
    assert stat.S_IMODE(ids.stat().st_mode) == 0o600
    assert list((tmp_path / "tmp").iterdir()) == []
    process.kill()
    process.communicate()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_signal_becomes_an_exception_that_no_except_clause_takes_for_a_failure():
    def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except Exception:
            raise AssertionError("taken for a failure") from None

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as told, stopping():
        work()
    assert (told.value.exit_code, signal.getsignal(signal.SIGTERM)) == (143, before)


def test_a_signal_whose_exception_a_library_drops_comes_again():
    def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except BaseException:  # noqa: S110 - as a callback from C does
            pass
        time.sleep(10)

    began = time.monotonic()
    with pytest.raises(Stopped), stopping():
        work()
    assert time.monotonic() - began < 8


def test_what_a_library_makes_of_an_interruption_is_no_failure_of_its_own():
    def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except BaseException as error:
            raise RuntimeError("Query interrupted") from error

    with pytest.raises(Stopped), stopping():
        work()


def test_further_signals_do_not_disturb_the_tidying_up():
    tidied = []

    def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.7)
            tidied.append(True)

    with pytest.raises(Stopped), stopping():
        work()
    assert tidied == [True]


def test_a_signal_that_is_ignored_stays_ignored():
    """As `nohup` does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("format", ["json", "html"])
def test_outputs_are_for_their_owner_whatever_the_umask(tmp_path, format):
    file, report = tmp_path / "in.csv", tmp_path / "report"
    file.write_text("customerId,n\n1,2\n,3\n")
    report.touch(0o644)
    before = os.umask(0)
    try:
        split = ["--split", str(tmp_path / "valid.csv"), str(tmp_path / "refused.csv")]
        command = ["validate", str(file), "--primary-key", "customerId", "--format", format, "--output", str(report)]
        assert main([*command, *split]) == 1
    finally:
        os.umask(before)
    made = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("report", "valid.csv", "refused.csv")]
    assert made == [0o600] * 3
