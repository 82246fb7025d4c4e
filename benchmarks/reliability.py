"""Prints what becomes of 100,000 rows under faults: of ours, of the vendor's own script, and of other tools.

    PYTHONPATH=. python benchmarks/reliability.py [--rivals PYTHON] [--only FAULT] [--rows 100000] [--seed 1]

The server is the emulator, in a process of its own, which makes the trouble. PYTHON is an interpreter with `drt-core`
and `dlt`; without it they are left out. Retries wait as they do in use, but no rate is kept to. The columns:

* landed: good rows that are visible in the end.
* twice: rows that the server took more than once.
* false: rows that were reported wrongly: as accepted but they are not there, or the other way round.
* early: whether any row was visible before the last one was there.
* batches: how many were completed.
* tries: how often it ended by itself; ours is started again after an error, once, as a task is that has a retry.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

KEY = "customerId"
CONNECTION = "00000000-0000-4000-8000-000000000001"
LOAD_ID = "00000000-0000-4000-8000-000000000002"
API_KEY, BRAND_KEY = "emulator-api-key", "emulator-brand-key"
HERE = Path(__file__).parent
POISON_SHARE = 0.001
KILLS = 10
FOREVER = 10**9


def one_load(url: str, file: str, folder: str) -> None:
    """Ours: what an upload task does in one of its tries. A retry has the same load id and staging."""
    from contextlib import closing

    from fsspec.implementations.local import LocalFileSystem

    from optimove_provider.clients.optix import OptixClient
    from optimove_provider.clients.settings import OptixSettings
    from optimove_provider.loads.optix.load import load
    from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.state.staging import Staging
    from optimove_provider.records.read.sources import file_rows

    settings = OptixSettings(
        conn_id="emulator", host=url, api_key=API_KEY, brand_api_key=BRAND_KEY, requests_per_10s=10**6
    )
    report = Report(LOAD_ID, {})
    wanted = UploadOptions(OptixTarget(CONNECTION, KEY), max_rejected=0.01)
    with OptixClient(settings) as client:
        rows = lambda: closing(file_rows([file], lambda name: open(name, "rb")))  # noqa: E731, SIM115
        load(client, rows, Staging(LocalFileSystem(), folder), report, wanted)
    rejected = report.rejected_file.removeprefix("file://")
    lines = Path(rejected).read_text().splitlines() if rejected else []
    keys = [json.loads(line)["record"][KEY] for line in lines]
    print(json.dumps({"accepted": report.accepted, "rejected": keys}))


def serve() -> None:
    """The emulator, with one data connection, until standard input ends."""
    from optimove_provider.emulator import EmulatorServer
    from optimove_provider.emulator.model.optix import Connection

    with EmulatorServer() as server:
        server.state.connections[CONNECTION] = Connection(CONNECTION, "profiles", KEY)
        print(server.url, flush=True)
        sys.stdin.read()


# The faults.


@dataclass(frozen=True, slots=True)
class Trouble:
    """Orders to the emulator, whether some rows are refused, and how often the process is killed."""

    orders: tuple[dict[str, Any], ...] = ()
    poison: bool = False
    kills: int = 0


def _every(requests: int, **fault: Any) -> dict[str, Any]:
    return {"endpoint": "upload_data", "times": FOREVER, "every": requests, **fault}


TOO_MANY = _every(4, status=429, headers={"retry-after": "1"})
BROKEN = _every(6, status=500)
RESET = _every(7, lost="before")
LOST = _every(5, lost="after")
TROUBLES: Mapping[str, Trouble] = {
    "none": Trouble(),
    "429 on every 4th request, Retry-After 1": Trouble((TOO_MANY,)),
    "500 on every 6th": Trouble((BROKEN,)),
    "connection reset on every 7th, before the work": Trouble((RESET,)),
    "answer lost on every 5th, after the work": Trouble((LOST,)),
    "0.1 % poison rows, not named": Trouble(poison=True),
    f"kill -9 at {KILLS} random points": Trouble(kills=KILLS),
    # More than half of all requests fail then.
    "all together": Trouble((TOO_MANY, BROKEN, RESET, LOST), poison=True, kills=KILLS),
}


# The contestants.


@dataclass(frozen=True, slots=True)
class Files:
    """The rows, and those keys that a server with poison refuses, in the order of the file."""

    path: Path
    keys: list[str]
    poison: set[str] = field(default_factory=set)


def commands(rivals: str) -> dict[str, list[str]]:
    """By contestant: the command, to which URL, file and folder are added."""
    found = {"ours": [sys.executable, __file__, "--load"]}
    found["the vendor's script"] = [sys.executable, str(HERE / "vendor_script.py")]
    if rivals:
        found |= {name: [rivals, str(HERE / "rivals.py"), name] for name in ("drt", "dlt")}
    return found


def claimed(contestant: str, output: str, files: Files) -> set[str] | int:
    """The keys that a contestant calls accepted, or how many if it does not say which."""
    if contestant == "the vendor's script":
        lines = [line for line in output.splitlines() if line.startswith(("Successfully", "Failed"))]
        slices = [files.keys[first : first + 5000] for first in range(0, len(files.keys), 5000)]
        return {key for line, keys in zip(lines, slices, strict=False) if line[0] == "S" for key in keys}
    try:
        told = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        return 0
    return set(files.keys) - set(told["rejected"]) if "rejected" in told else int(told["accepted"])


# The referee.


@contextmanager
def emulator() -> Iterator[str]:
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin
        assert process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()


def control(url: str, name: str, method: str = "GET", value: Any = None) -> Any:
    body = None if value is None else json.dumps(value).encode()
    headers = {"content-type": "application/json"}
    with urlopen(Request(f"{url}/_emulator/{name}", body, headers, method=method)) as answer:  # noqa: S310 - our own server
        return json.loads(answer.read())


def run(command: list[str], url: str, kills: int, chance: random.Random, tries: int) -> tuple[str, int]:
    """Run until it succeeds, or has ended by itself in so many tries, after so many kills at the most; returns what it
    printed last, and how many tries there were."""
    keys, ended = {"API_KEY": API_KEY, "BRAND_KEY": BRAND_KEY, "DC_ID": CONNECTION}, 0
    while True:
        with subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **keys}
        ) as process:
            if kills:
                _kill_at_random(process, url, chance)
                kills -= 1
            output = process.communicate()[0]
        ended += process.returncode != -9
        if process.returncode == 0 or ended == tries:
            return output, ended


def _kill_at_random(process: "subprocess.Popen[str]", url: str, chance: random.Random) -> None:
    """Kill it after some time, or some time after it has made some requests; or it ends before."""
    more = 0 if chance.random() < 0.3 else len(control(url, "requests")) + chance.randint(1, 8)
    while len(control(url, "requests")) < more and process.poll() is None:
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.2 if more else 3))
    process.kill()


def measure(contestant: str, command: list[str], trouble: Trouble, files: Files, seed: int) -> list[object]:
    """One line of the table."""
    with emulator() as url, tempfile.TemporaryDirectory(dir=files.path.parent) as folder:
        control(url, "switches", "PUT", {"poison": "poison" if trouble.poison else "", "poison_named": "none"})
        if trouble.kills:
            control(url, "switches", "PUT", {"latency_seconds": 0.1})
        control(url, "faults", "POST", list(trouble.orders))
        began = time.perf_counter()
        arguments = [f"{url}/api/data-connections/v1", str(files.path), f"{folder}/used"]
        tries = 2 if contestant == "ours" else 1
        output, ended = run([*command, *arguments], url, trouble.kills, random.Random(seed), tries)  # noqa: S311
        seconds = time.perf_counter() - began
        (connection,) = control(url, "state")["connections"]
        early = _early(control(url, "requests"))
    landed, accepted = set(connection["records"]), claimed(contestant, output, files)
    false = abs(len(landed) - accepted) if isinstance(accepted, int) else len(landed ^ accepted)
    good = len(files.keys) - (len(files.poison) if trouble.poison else 0)
    twice = connection["records_received"] - len(landed)
    told = [twice, false, "yes" if early else "no", connection["completed_batches"], ended, f"{seconds:.0f}"]
    return [contestant, f"{len(landed)} of {good}", *told]


def _early(requests: list[dict[str, Any]]) -> bool:
    """Whether a completing request was followed by another one that was taken, and was not the same."""
    taken = [one for one in requests if one["status"] == 200 or (one["lost"] or "").endswith("after the work was done")]
    completing = [number for number, one in enumerate(taken) if one["batch_completed"]]
    return bool(completing) and any(one["sha256"] != taken[completing[0]]["sha256"] for one in taken[completing[0] :])


def make_files(directory: Path, rows: int, seed: int) -> tuple[Files, Files]:
    """The same rows without and with poison."""
    plain, poisoned = directory / "profiles.csv", directory / "poisoned.csv"
    subprocess.run([sys.executable, HERE / "generate.py", str(rows), str(plain), "--share", "0"], check=True)  # noqa: S603
    with open(plain, newline="", encoding="utf-8") as file:
        header, *records = csv.reader(file)
    keys = [record[0] for record in records]
    chosen = random.Random(seed).sample(range(rows), round(rows * POISON_SHARE))  # noqa: S311 - no secret
    for number in chosen:
        records[number][-1] = "poison"
    with open(poisoned, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *records])
    return Files(plain, keys), Files(poisoned, keys, {keys[number] for number in chosen})


def say(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", default="", metavar="PYTHON", help="an interpreter with drt-core and dlt")
    parser.add_argument("--only", default="", metavar="FAULT", help="the faults whose name holds this text")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        return one_load(*given.load)
    if given.serve:
        return serve()
    with tempfile.TemporaryDirectory() as directory:
        plain, poisoned = make_files(Path(directory), given.rows, given.seed)
        say("fault", "who", "landed", "twice", "false", "early", "batches", "tries", "seconds")
        say(*["---"] * 9)
        for name, trouble in TROUBLES.items():
            if given.only in name:
                for contestant, command in commands(given.rivals).items():
                    files = poisoned if trouble.poison else plain
                    say(name, *measure(contestant, command, trouble, files, given.seed))


if __name__ == "__main__":
    main()
