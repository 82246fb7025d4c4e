"""Measures the import into DCP against its halves, and against a file written and loaded with Airflow's S3Hook.

    PYTHONPATH=. python benchmarks/s3_import.py [--megabytes 1000] [--rounds 3] [--latency 0.1] [--moto]
    PYTHONPATH=. python benchmarks/s3_import.py --only one_pass validate upload_file     # of the contestants
    PYTHONPATH=. python benchmarks/s3_import.py --only-memory 10000       # MB through a stub that throws them away

S3 is a process of its own: a stub that speaks multipart and throws away what it gets, or with --moto the emulator's S3,
which is slower than most clients. Each request waits for --latency seconds. Every contestant is a process of its own,
start-up included; they take turns, and a ratio is the median of the rounds' ratios.
"""

import argparse
import csv
import http.server
import json
import os
import socketserver
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

BYTES_PER_ROW = 99
BUCKET = "benchmark"
KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


# S3, in a process of its own.


class Stub(http.server.BaseHTTPRequestHandler):
    """Multipart uploads without a memory."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    latency = 0.0

    def _answer(self) -> None:
        left = int(self.headers.get("Content-Length", 0))
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        time.sleep(self.latency)
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        body = b""
        if "uploads" in query:
            body = b"<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
        elif self.command == "POST":
            body = b"<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>"
        self.send_response(404 if self.command in ("HEAD", "GET") else 200)
        self.send_header("ETag", '"part"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET = _answer

    def handle_expect_100(self) -> bool:
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class StubServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(latency: float, moto: bool) -> None:
    """Say the port, and serve until killed."""
    if moto:
        import logging

        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        application = DomainDispatcherApplication(create_backend_app)

        def slowly(environ: Any, start: Any) -> Any:
            time.sleep(latency)
            return application(environ, start)

        server: Any = make_server("127.0.0.1", 0, slowly, threaded=True)
    else:
        Stub.latency = latency
        server = StubServer(("127.0.0.1", 0), Stub)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def s3_process(latency: float, moto: bool) -> Iterator[str]:
    """S3's URL."""
    command = [sys.executable, __file__, "--serve", str(latency), *(["--moto"] if moto else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this file itself
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


# The contestants: each gets S3's URL, and a folder with profiles.csv and profiles.arrow, the same rows.


def client(url: str) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=url, **KEYS)


def _never_asked(_: Any) -> Any:
    raise AssertionError("nobody waits for the import")


def _import(url: str, source: Any) -> None:
    import uuid

    from fsspec.implementations.local import LocalFileSystem

    from benchmarks.attributes import ATTRIBUTES
    from optimove_provider.clients.s3 import Bucket
    from optimove_provider.loads.dcp.load import run
    from optimove_provider.loads.dcp.options import TableImport
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.state.staging import Staging
    from optimove_provider.loads.upload.destination import Destination
    from optimove_provider.loads.validation.row_check import ImportOptions

    load_id = str(uuid.uuid4())
    with tempfile.TemporaryDirectory() as folder:
        staging = Staging(LocalFileSystem(), folder)
        to = Destination(Bucket(client(url), BUCKET), "dcp/1/2", load_id, staging)
        report = Report(load_id, {})
        run(TableImport(source, ImportOptions(ATTRIBUTES), to, report, ledger=None, outcome_of=_never_asked))
    assert report.accepted


def one_pass(url: str, folder: Path) -> None:
    from optimove_provider.loads.validation.csv_file import CsvFile

    _import(url, CsvFile("profiles.csv", lambda: (folder / "profiles.csv").open("rb")))


def validate(url: str, folder: Path) -> None:
    from functools import partial

    from benchmarks.attributes import ATTRIBUTES
    from optimove_provider.records.observe.defaults import observers_for
    from optimove_provider.records.observe.pii import pii_names
    from optimove_provider.records.validate.validate import Options, check_csv

    options = Options(observers=partial(observers_for, allowed_pii=()), about_names=partial(pii_names, allowed=()))
    with (folder / "profiles.csv").open("rb") as file:
        assert not check_csv(file, ATTRIBUTES, options).errors


def upload_file(url: str, folder: Path) -> None:
    client(url).upload_file(str(folder / "profiles.csv"), BUCKET, "whole.csv")


def batches(folder: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.OSFile(str(folder / "profiles.arrow")) as file:
        reader = pa.ipc.open_file(file)
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)


def arrow_to_s3(url: str, folder: Path) -> None:
    _import(url, lambda: nullcontext(batches(folder)))


def arrow_csv(url: str, folder: Path) -> None:
    from benchmarks.attributes import ATTRIBUTES
    from optimove_provider.records.to_csv.write import CsvText

    with open(os.devnull, "wb") as out:
        for chunk in CsvText(ATTRIBUTES).chunks(batches(folder)):
            out.write(chunk)


def csv_module(url: str, folder: Path) -> None:
    with open(os.devnull, "w", newline="") as out:
        _with_csv_module(out, folder)


def _with_csv_module(out: Any, folder: Path) -> None:
    writer = csv.writer(out, lineterminator="\n")
    for number, batch in enumerate(batches(folder)):
        if not number:
            writer.writerow(batch.schema.names)
        for row in batch.to_pylist():
            writer.writerow([_cell(value) for value in row.values()])


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "hour") else value


def nothing(url: str, folder: Path) -> None:
    """Only the start, and reading the rows."""
    from optimove_provider.records.to_csv.write import CsvText

    assert CsvText
    assert all(batch.num_rows for batch in batches(folder))


def _load_file(url: str, path: str) -> None:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    os.environ["AIRFLOW_CONN_STUB"] = json.dumps({"conn_type": "aws", "login": "A", "password": "s", "extra": extra})
    S3Hook("stub").load_file(path, "whole.csv", BUCKET, replace=True)


def file_and_hook(url: str, folder: Path) -> None:
    """The csv module into a file, which S3Hook loads."""
    with tempfile.NamedTemporaryFile("w", newline="", dir=folder) as file:
        _with_csv_module(file, folder)
        file.flush()
        _load_file(url, file.name)


def arrow_file_and_hook(url: str, folder: Path) -> None:
    """Arrow's own writer into a file, unchecked, which S3Hook loads."""
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv

    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for number, batch in enumerate(batches(folder)):
            at = batch.schema.get_field_index("lastSeen")
            text = pc.strftime(batch.column(at), format="%Y-%m-%dT%H:%M:%SZ")
            pacsv.write_csv(batch.set_column(at, "lastSeen", text), file, pacsv.WriteOptions(include_header=not number))
        file.flush()
        _load_file(url, file.name)


def file_check_and_hook(url: str, folder: Path) -> None:
    """What the import does, one after the other: our writer into a file, the check of it, and S3Hook."""
    from benchmarks.attributes import ATTRIBUTES
    from optimove_provider.records.to_csv.write import CsvText

    with tempfile.TemporaryDirectory(dir=folder) as own:
        path = Path(own, "profiles.csv")
        with path.open("wb") as file:
            file.writelines(CsvText(ATTRIBUTES).chunks(batches(folder)))
        validate(url, path.parent)
        _load_file(url, str(path))


def endless(url: str, folder: Path) -> None:
    """The import of a file that is made while it is read."""
    from generate import HEADER, Generator

    from optimove_provider.loads.validation.csv_file import CsvFile
    from optimove_provider.records.to_csv.write import Chunks

    rows = int((folder / "rows").read_text())

    def text() -> Iterator[bytes]:
        yield (",".join(HEADER) + "\n").encode()
        for buffer, _ in Generator(1, 0, None).chunks(rows):
            yield bytes(buffer)

    _import(url, CsvFile("profiles.csv", lambda: nullcontext(Chunks(text()))))  # type: ignore[arg-type]


CONTESTANTS: dict[str, Callable[[str, Path], None]] = {
    one.__name__: one
    for one in (
        *(one_pass, validate, upload_file, arrow_csv, csv_module, nothing),
        *(arrow_to_s3, file_and_hook, file_check_and_hook, arrow_file_and_hook, endless),
    )
}
RACERS = [name for name in CONTESTANTS if name != endless.__name__]


# The referee, which stays small: a process that it starts counts its memory into its own peak.


@dataclass(frozen=True, slots=True)
class Run:
    """One process: how long, how much work of all cores (seconds), how much memory (MB)."""

    seconds: float
    work: float
    peak: float


def run(contestant: str, url: str, folder: Path) -> Run:
    command = [sys.executable, __file__, "--contestant", contestant, url, str(folder)]
    start = time.perf_counter()
    process = subprocess.Popen(command)  # noqa: S603 - this file itself
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{contestant} failed")
    return Run(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


Round = dict[str, Run]


class Race:
    def __init__(self, names: list[str], url: str, folder: Path, rounds: int) -> None:
        self.rounds: list[Round] = [{name: run(name, url, folder) for name in names} for _ in range(rounds)]

    def median(self, of: Callable[[Round], float]) -> float:
        return statistics.median(map(of, self.rounds))

    def say_each(self) -> None:
        for name in self.rounds[0]:
            seconds = statistics.median(one[name].seconds for one in self.rounds)
            work = statistics.median(one[name].work for one in self.rounds)
            print(f"{name}: {seconds:.2f} s, CPU {work:.2f} s, peak {self.peak(name):.0f} MB", flush=True)

    def peak(self, name: str) -> float:
        return max(one[name].peak for one in self.rounds)


def say(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def generate(folder: Path, megabytes: int) -> None:
    """Write the rows twice: as CSV, and as typed Arrow batches."""
    script = Path(__file__).with_name("generate.py")
    rows, path = int(megabytes * 1e6 / BYTES_PER_ROW), folder / "profiles.csv"
    subprocess.run([sys.executable, str(script), str(rows), str(path), "--share", "0"], check=True)  # noqa: S603
    subprocess.run([sys.executable, __file__, "--to-arrow", str(folder)], check=True)  # noqa: S603


def to_arrow(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    types = {
        "customerId": pa.string(),
        "isVip": pa.bool_(),
        "points": pa.int64(),
        "balance": pa.float64(),
        "birthDate": pa.date32(),
        "lastSeen": pa.timestamp("us", "UTC"),
        "signupTs": pa.int64(),
        "note": pa.string(),
    }
    reader = pacsv.open_csv(
        folder / "profiles.csv",
        read_options=pacsv.ReadOptions(block_size=2 << 20),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(column_types=types),
    )
    with pa.OSFile(str(folder / "profiles.arrow"), "wb") as out, pa.ipc.new_file(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _csv_from_arrow(one: Round) -> float:
    return (one["csv_module"].work - one["nothing"].work) / (one["arrow_csv"].work - one["nothing"].work)


def _against_a_file(rival: str) -> Callable[[Round], float]:
    return lambda one: one[rival].seconds / one["arrow_to_s3"].seconds


RATIOS: tuple[tuple[str, str, Callable[[Round], float]], ...] = (
    (
        "check and upload, each alone, seconds together, against one pass",
        "at least 1.4 x",
        lambda one: (one["validate"].seconds + one["upload_file"].seconds) / one["one_pass"].seconds,
    ),
    (
        "one pass, CPU seconds, against the sum of check and upload",
        "at most 1.2 x",
        lambda one: one["one_pass"].work / (one["validate"].work + one["upload_file"].work),
    ),
    ("CSV from Arrow, against the csv module, both without start and reading", "at least 10 x", _csv_from_arrow),
    (
        "Arrow to S3, checked, speed against a file by the csv module, unchecked, and S3Hook.load_file",
        "at least 1.7 x",
        _against_a_file("file_and_hook"),
    ),
    (
        "Arrow to S3, checked, speed against a file by our writer, our check of it, and S3Hook.load_file",
        "at least 1.7 x",
        _against_a_file("file_check_and_hook"),
    ),
    (
        "Arrow to S3, checked, speed against a file by Arrow's own writer, unchecked, and S3Hook.load_file",
        "",
        _against_a_file("arrow_file_and_hook"),
    ),
)
PEAKS = {
    "one_pass": ("one pass, peak memory", "at most 260 MB"),
    "arrow_to_s3": ("Arrow to S3, peak memory", "at most 300 MB"),
}


def measure(url: str, folder: Path, rounds: int, names: list[str]) -> None:
    race = Race(names, url, folder, rounds)
    race.say_each()
    print()
    say("what", "wanted", "measured")
    say("---", "---", "---")
    for words, wanted, of in RATIOS:
        with suppress(KeyError):  # a contestant did not run
            say(words, wanted, f"{race.median(of):.2f} x")
    for name, (words, wanted) in PEAKS.items():
        if name in names:
            say(words, wanted, f"{race.peak(name):.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds a request")
    parser.add_argument("--moto", action="store_true", help="moto's S3 instead of the stub")
    parser.add_argument(
        "--only", nargs="+", choices=RACERS, default=RACERS, help="contestants; a line needs all of its own"
    )
    parser.add_argument("--only-memory", type=int, metavar="MB", help="import so much, and say the peak memory")
    parser.add_argument("--directory", type=Path, help="where the files are written, and deleted")
    parser.add_argument("--contestant", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--to-arrow", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contestant:
        name, url, folder = given.contestant
        CONTESTANTS[name](url, Path(folder))
    elif given.serve is not None:
        serve(given.serve, given.moto)
    elif given.to_arrow:
        to_arrow(given.to_arrow)
    else:
        with tempfile.TemporaryDirectory(dir=given.directory) as folder, s3_process(given.latency, given.moto) as url:
            run_all(given, url, Path(folder))


def run_all(given: argparse.Namespace, url: str, folder: Path) -> None:
    what = "moto" if given.moto else "a stub that throws everything away"
    print(
        f"S3 is {what}, {given.latency * 1000:.0f} ms a request; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    if given.moto:
        client(url).create_bucket(Bucket=BUCKET)
    if given.only_memory:
        (folder / "rows").write_text(str(int(given.only_memory * 1e6 / BYTES_PER_ROW)))
        one = run("endless", url, folder)
        print(f"{given.only_memory} MB made and imported: peak {one.peak:.0f} MB, {one.seconds:.0f} s")
        return
    generate(folder, given.megabytes)
    print(f"{(folder / 'profiles.csv').stat().st_size / 1e6:.0f} MB, {given.rounds} rounds")
    measure(url, folder, given.rounds, given.only)


if __name__ == "__main__":
    main()
