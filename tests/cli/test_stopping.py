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

import pytest

from optimove_provider.cli import main
from optimove_provider.disk.stopping import Stopped, stopping

ROWS = "".join(f"id-{number:08d},{number}\n" for number in range(300_000))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "in.csv"
    path.write_text("customerId,n\n" + ROWS)
    return path


@pytest.fixture(autouse=True)
def as_a_process_begins():
    """With nobody's handlers: Airflow's tests leave some behind, and nohup its own."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def validate(large, folder):
    """Start a check, and wait until ids are in its temporary folder."""
    command = [sys.executable, "-m", "optimove_provider", "validate", str(large), "--primary-key", "customerId"]
    split = ["--split", str(folder / "valid.csv"), str(folder / "refused.csv")]
    (folder / "tmp").mkdir(exist_ok=True)
    known = set((folder / "tmp").iterdir())
    process = subprocess.Popen(
        [*command, *split],
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not any(list(path.glob("*.arrow")) for path in set((folder / "tmp").iterdir()) - known):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_nothing_is_left_behind(large, tmp_path, number, code):
    process = validate(large, tmp_path)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert number.name in errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]


def test_what_a_killed_check_left_the_next_one_removes_and_not_what_another_one_uses(large, tmp_path):
    killed = validate(large, tmp_path)
    (left,) = (tmp_path / "tmp").iterdir()
    killed.kill()
    killed.communicate()
    assert list(left.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in left.glob("*.arrow")} == {0o600}
    another = validate(large, tmp_path)
    another.send_signal(signal.SIGSTOP)  # it lives, and does not end meanwhile
    (used,) = (tmp_path / "tmp").iterdir()
    assert used != left  # which is gone
    small = tmp_path / "small.csv"
    small.write_text("customerId\n1\n")
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-m", "optimove_provider", "validate", str(small), "--primary-key", "customerId"]
    assert subprocess.run(command, env=env, capture_output=True).returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == [used]
    another.send_signal(signal.SIGCONT)
    another.terminate()
    another.communicate()
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
