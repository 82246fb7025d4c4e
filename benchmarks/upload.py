"""Measures a full load into Opti-X against the vendor's own script, all in one run, and prints the ratios.

    PYTHONPATH=. python benchmarks/upload.py [--rows 1000000] [--rounds 3] [--memory]

Both send the same CSV file to a server on loopback (`loopback.py`) that answers 100 ms after a request's last byte.
Each contestant is a process of its own, start-up included; they take turns, and a ratio is the median of the rounds'
ratios. Ours freezes the rows in a staging folder before the first request, sends one batch and completes it last; the
script (`vendor_script.py`) does neither. `--memory` measures the peak memory at 1, 3 and 10 million rows instead.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

KEY = "customerId"
API = "api/data-connections/v1"
CONNECTION = "00000000-0000-4000-8000-000000000001"
HERE = Path(__file__).parent
SCRIPT, DEFAULT, WIDE = "the vendor's script", "ours", "ours, 16 in flight"
IN_FLIGHT = {DEFAULT: 4, WIDE: 16}


def one_load(url: str, file: str, max_in_flight: int) -> None:
    """One load, as a task does it but for Airflow: default settings, no limit of the rate."""
    import uuid
    from contextlib import closing

    from fsspec.implementations.local import LocalFileSystem

    from optimove_provider.clients.optix import OptixClient
    from optimove_provider.clients.settings import OptixSettings
    from optimove_provider.loads.optix.load import load
    from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.state.staging import Staging
    from optimove_provider.options import Sending
    from optimove_provider.records.read.sources import file_rows

    settings = OptixSettings(conn_id="loopback", host=url, api_key="key", brand_api_key="brand", requests_per_10s=10**6)
    wanted = UploadOptions(OptixTarget(CONNECTION, KEY), sending=Sending(max_in_flight=max_in_flight))
    report = Report(str(uuid.uuid4()), {})
    with tempfile.TemporaryDirectory(dir=Path(file).parent) as folder, OptixClient(settings) as client:
        staging = Staging(LocalFileSystem(), folder)
        rows = lambda: closing(file_rows([file], lambda name: open(name, "rb")))  # noqa: E731, SIM115
        load(client, rows, staging, report, wanted)
        report.file(staging)
    print(report.sentence)


# The referee, which stays small: a process that it starts counts its memory into its own peak.


@dataclass(frozen=True, slots=True)
class Run:
    """One process: rows a second, CPU microseconds a row, and peak memory (MB)."""

    pace: float
    work: float
    peak: float


@contextmanager
def server() -> Iterator[str]:
    """The URL of a fresh loopback server."""
    with subprocess.Popen([sys.executable, HERE / "loopback.py"], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def run(contestant: str, file: Path, rows: int) -> Run:
    """Let a contestant send a file from a process of its own, and see that every row arrived."""
    with server() as url:
        command = [sys.executable, __file__, "--load", f"{url}/{API}", str(file), str(IN_FLIGHT.get(contestant))]
        if contestant == SCRIPT:
            command = [sys.executable, str(HERE / "vendor_script.py"), f"{url}/{API}", str(file)]
        keys = {"API_KEY": "key", "BRAND_KEY": "brand", "DC_ID": CONNECTION}
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **keys}) as process:  # noqa: S603
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        with urlopen(url) as answer:  # noqa: S310 - our own server
            counts = json.loads(answer.read())
    if process.returncode or counts["rows"] != rows:
        raise SystemExit(f"{contestant}: exit {process.returncode}, {counts} of {rows} rows")
    return Run(rows / seconds, (usage.ru_utime + usage.ru_stime) / rows * 1e6, usage.ru_maxrss / 1024)


def generate(file: Path, rows: int) -> Path:
    """Write a CSV file without faults."""
    subprocess.run([sys.executable, HERE / "generate.py", str(rows), str(file), "--share", "0"], check=True)  # noqa: S603
    return file


def say(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def measure(directory: Path, rows: int, rounds: int) -> None:
    """Print the tables."""
    file = generate(directory / "profiles.csv", rows)
    contestants = (SCRIPT, DEFAULT, WIDE)
    races = [{name: run(name, file, rows) for name in contestants} for _ in range(rounds)]
    print(f"{rows} rows, {file.stat().st_size / 1e6:.0f} MB, {rounds} rounds, {os.cpu_count()} cores\n")
    say("contestant", "rows/s", "CPU us a row", "peak MB")
    say(*["---"] * 4)
    for name in contestants:
        pace = statistics.median(race[name].pace for race in races)
        work = statistics.median(race[name].work for race in races)
        say(name, f"{pace:.0f}", f"{work:.2f}", f"{max(race[name].peak for race in races):.0f}")

    def ratio(name: str, of: str) -> float:
        return statistics.median(getattr(race[name], of) / getattr(race[SCRIPT], of) for race in races)

    print()
    say("against the script", "wanted", "measured")
    say(*["---"] * 3)
    say("rows/s, default settings (4 requests in flight)", "at least 3 x", f"{ratio(DEFAULT, 'pace'):.2f} x")
    say("rows/s, 16 requests in flight", "at least 7 x", f"{ratio(WIDE, 'pace'):.2f} x")
    say("CPU a row, from the file to the wire", "at most 0.55 x", f"{ratio(DEFAULT, 'work'):.2f} x")


def measure_memory(directory: Path) -> None:
    """Print the peak memory at 1, 3 and 10 million rows."""
    say("rows", "peak MB, at most 400", "rows/s")
    say(*["---"] * 3)
    for rows in (1_000_000, 3_000_000, 10_000_000):
        one = run(DEFAULT, generate(directory / "profiles.csv", rows), rows)
        say(rows, f"{one.peak:.0f}", f"{one.pace:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="only measure the peak memory, up to 10 million rows")
    parser.add_argument("--directory", type=Path, help="where the files are written, and deleted")
    parser.add_argument("--load", nargs=3, metavar=("URL", "FILE", "IN_FLIGHT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        url, file, max_in_flight = given.load
        one_load(url, file, int(max_in_flight))
        return
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        if given.memory:
            measure_memory(Path(directory))
        else:
            measure(Path(directory), given.rows, given.rounds)


if __name__ == "__main__":
    main()
