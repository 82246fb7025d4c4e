"""Measures the check of CSV files against other ways to do the same, all in one run, and prints the ratios.

    pip install numpy pyarrow "polars>=2" frictionless     # without the last two, the rivals, their lines are skipped
    PYTHONPATH=. python benchmarks/validate.py [--rows 5000000] [--rounds 3] [--memory]

Every contestant is a process of its own, start-up included; they take turns, and a ratio is the median of the rounds'
ratios. All but the raw parse and frictionless find the same faults, or the run says that they did not. Ours does what
the command does by default: it also compares all ids, in case and in what nobody sees too, and watches for personal
data. `--memory` checks files of 1 GB and 10 GB, for which the directory (`--directory`) needs 11 GB, and the folder for
temporary files 6.
"""

import argparse
import csv
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("customerId", "isVip", "points", "balance", "birthDate", "lastSeen", "signupTs", "note")
KEPT = 10_000
FRICTIONLESS_ROWS = 100_000
WHOLLY_BAD = "points"
BYTES_PER_ROW = 99.5  # a little too many: a file of 10 GB is too large for an import


def at_most(number: str) -> str:
    """A regex for the numbers of as many digits as `number` that are not greater, without leading zeros."""
    tails = []
    for index, digit in enumerate(number):
        least = "1" if index == 0 else "0"
        if digit > least:
            tails.append(f"{number[:index]}[{least}-{int(digit) - 1}][0-9]{{{len(number) - index - 1}}}")
    return "|".join([*tails, number])


_LEAP_YEAR = "(?:[12][0-9](?:0[48]|[2468][048]|[13579][26])|(?:16|20|24|28)00)"
_MONTH_AND_DAY = "(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31"
_DAY = f"(?:[12][0-9]{{3}}-(?:{_MONTH_AND_DAY})|{_LEAP_YEAR}-02-29)"
PATTERNS = {
    "customerId": r"(?s:\s*\S.*)",
    "isVip": "(?:true|false)?",
    "points": f"(?:0|-?(?:[1-9][0-9]{{0,17}}|{at_most('9223372036854775807')}))?",
    "balance": r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)?",
    "birthDate": f"(?:{_DAY})?",
    "lastSeen": f"(?:{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?",
    "signupTs": "(?:0|[1-9][0-9]{0,10})?",
}
"""The rules as regular expressions, as exact as the generated cells need them."""

Found = dict[str, int]


# The contestants: each reads a file and says how many bad cells it found in each column.


def ours(path: str, kept: int = KEPT) -> Found:
    from benchmarks.attributes import ATTRIBUTES
    from optimove_provider.records.observe.defaults import observers_for
    from optimove_provider.records.observe.pii import pii_names
    from optimove_provider.records.validate.validate import Options, check_csv

    options = Options(file=path, max_findings=kept, observers=observers_for, about_names=pii_names)
    with open(path, "rb") as file:
        report = check_csv(file, ATTRIBUTES, options)
    assert report.bytes == os.path.getsize(path)
    found: Counter[str] = Counter()
    for (rule, column, _), count in report.groups.items():
        found[column] += 0 if rule.startswith(("id-", "pii-")) else count
    return dict(found)


def places(path: str) -> Found:
    """Not timed: compare every finding with the planted faults, kind by kind of difference."""
    from benchmarks.attributes import ATTRIBUTES, HEADER
    from optimove_provider.records.validate.validate import Options, check_csv

    with open(path, "rb") as file:
        report = check_csv(file, ATTRIBUTES, Options(file=path, max_findings=10**9))
    at = {name: index for index, name in enumerate(HEADER)}
    found = {(finding.row, at[finding.column]) for finding in report.findings}
    planted = set(_planted(path))
    repeated = len(report.findings) - len(found)
    return {"planted": len(planted), "missed": len(planted - found), "invented": len(found - planted) + repeated}


def raw(path: str) -> Found:
    import pyarrow as pa
    from pyarrow import csv as pacsv

    reader = pacsv.open_csv(
        path,
        read_options=pacsv.ReadOptions(use_threads=False),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.binary())),
    )
    assert sum(batch.num_rows for batch in reader)
    return {}


def csv_module(path: str) -> Found:
    checks = [(COLUMNS.index(name), re.compile(pattern).fullmatch) for name, pattern in PATTERNS.items()]
    counts, kept = [0] * len(COLUMNS), []
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for number, row in enumerate(rows, 1):
            for column, match in checks:
                if not match(row[column]):
                    counts[column] += 1
                    if len(kept) < KEPT:
                        kept.append((number, column, row[column]))
    return {name: count for name, count in zip(COLUMNS, counts, strict=True) if count}


def polars(path: str) -> Found:
    import polars as pl

    frame = pl.scan_csv(path, infer_schema=False, empty_string_is_null=False, row_index_name="row")
    bad = [(~pl.col(name).str.contains(f"^(?:{pattern})$")).alias(name) for name, pattern in PATTERNS.items()]
    wrong = frame.select("row", *bad).filter(pl.any_horizontal(list(PATTERNS))).collect(engine="streaming")
    return {name: int(wrong[name].sum()) for name in PATTERNS if wrong[name].any()}


def frictionless(path: str) -> Found:
    from frictionless import Schema, fields, system, validate

    kinds = {
        "isVip": fields.BooleanField(name="isVip", true_values=["true"], false_values=["false"]),
        "points": fields.IntegerField(name="points"),
        "balance": fields.NumberField(name="balance"),
        "birthDate": fields.DateField(name="birthDate", format="%Y-%m-%d"),
        "lastSeen": fields.DatetimeField(name="lastSeen", format="%Y-%m-%dT%H:%M:%SZ"),
        "signupTs": fields.IntegerField(name="signupTs"),
    }
    kinds["customerId"] = fields.StringField(name="customerId", constraints={"required": True})
    schema = Schema(fields=[kinds.get(name) or fields.StringField(name=name) for name in COLUMNS])
    with system.use_context(trusted=True):
        report = validate(path, schema=schema, limit_errors=10**6)
    return dict(Counter(error[0] for error in report.flatten(["fieldName"])))


CONTESTANTS: dict[str, Callable[[str], Found]] = {
    one.__name__: one for one in (ours, raw, csv_module, polars, frictionless, places)
}


# The referee, which stays small: a process that it starts counts its memory into its own peak.


@dataclass(frozen=True, slots=True)
class Run:
    """One process: how long, how much work of all cores (seconds), how much memory (MB) and what it found."""

    seconds: float
    work: float
    peak: float
    found: Found


def run(contestant: str, path: Path) -> Run:
    """Let a contestant check a file in a process of its own."""
    command = [sys.executable, __file__, "--contestant", contestant, str(path)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this file itself
        answer = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{contestant} failed on {path}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, json.loads(answer))


class Race:
    """Contestants that take turns on one file."""

    def __init__(self, path: Path, contestants: list[str], rounds: int) -> None:
        self.rounds = [{name: run(name, path) for name in contestants} for _ in range(rounds)]

    def seconds(self, name: str) -> float:
        return statistics.median(one[name].seconds for one in self.rounds)

    def work(self, name: str) -> float:
        return statistics.median(one[name].work for one in self.rounds)

    def peak(self, name: str) -> float:
        return max(one[name].peak for one in self.rounds)

    def speed(self, rival: str) -> float:
        """How many times the rival's speed ours is."""
        return statistics.median(one[rival].seconds / one["ours"].seconds for one in self.rounds)

    def memory(self, rival: str) -> float:
        return statistics.median(one["ours"].peak / one[rival].peak for one in self.rounds)

    def found(self, name: str) -> Found:
        return self.rounds[-1][name].found


def generate(path: Path, rows: int, *options: str) -> Path:
    """Write a file, in a process of its own."""
    script = Path(__file__).with_name("generate.py")
    subprocess.run([sys.executable, str(script), str(rows), str(path), *options], check=True)  # noqa: S603 - its neighbour
    return path


def _planted(path: str) -> Iterator[tuple[int, int]]:
    with open(f"{path}.truth") as lines:
        for line in lines:
            row, column = line.split(",")
            yield int(row), int(column)


def planted(path: Path) -> Found:
    """How many faults each column of a file has."""
    counts = Counter(column for _, column in _planted(str(path)))
    return {COLUMNS[column]: count for column, count in counts.items()}


def say(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def say_whether_exact(race: Race, contestants: list[str], path: Path) -> None:
    truth = planted(path)
    for name in contestants:
        if name != "raw":
            exact = "exactly the planted faults" if race.found(name) == truth else f"NOT the planted faults {truth}"
            print(f"{name}: {sum(race.found(name).values())} bad cells, {exact} (by column)", flush=True)


def measure(directory: Path, rows: int, rounds: int, rivals: list[str]) -> None:
    """Print the table."""
    file = generate(directory / "profiles.csv", rows)
    wholly = generate(directory / "wholly_bad.csv", rows, "--wholly-bad", WHOLLY_BAD)
    large = [name for name in ("raw", "csv_module", "polars") if name in rivals]
    race = Race(file, ["ours", *large], rounds)
    say_whether_exact(race, ["ours", *large], file)
    bad = Race(wholly, ["ours", "csv_module"], 1 if rounds < 3 else 2)
    say_whether_exact(bad, ["ours", "csv_module"], wholly)
    print(f"ours, every place of {file.name}: {run('places', file).found}", flush=True)
    megabytes = file.stat().st_size / 1e6
    print(
        f"\n{rows} rows, {megabytes:.0f} MB, {rounds} rounds, {os.cpu_count()} cores; ours {race.seconds('ours'):.2f} s"
    )
    print(f"({megabytes / race.seconds('ours'):.0f} MB/s), peak {race.peak('ours'):.0f} MB\n")
    say("against", "at least", "measured", "seconds, its / ours", "CPU seconds, its / ours", "its peak MB")
    say(*["---"] * 6)
    _say_speed(race, "raw", "pyarrow.csv.open_csv, one thread, no checks", "0.40 x")
    _say_speed(race, "csv_module", "csv module, a compiled regex a cell", "5 x")
    if "frictionless" in rivals:
        _say_frictionless(directory, rows / race.seconds("ours"))
    if "polars" in rivals:
        _say_speed(race, "polars", "polars, a regex a column, all cores", "1 x")
        say("the same, memory", "at most 0.6 x", f"{race.memory('polars'):.2f} x", "", "", "")
    _say_speed(bad, "csv_module", f"csv module, the column {WHOLLY_BAD} wholly bad", "2 x")


def _say_speed(race: Race, rival: str, words: str, least: str) -> None:
    seconds = f"{race.seconds(rival):.2f} / {race.seconds('ours'):.2f}"
    work = f"{race.work(rival):.2f} / {race.work('ours'):.2f}"
    say(words, least, f"{race.speed(rival):.2f} x", seconds, work, f"{race.peak(rival):.0f}")


def _say_frictionless(directory: Path, our_rows: float) -> None:
    """Frictionless is timed on a cut of the rows, ours on all of them: rows a second are compared."""
    cut = generate(directory / "cut.csv", FRICTIONLESS_ROWS)
    one = run("frictionless", cut)
    ratio = our_rows / (FRICTIONLESS_ROWS / one.seconds)
    found = f"finds {sum(one.found.values())} of {sum(planted(cut).values())}"
    words = f"frictionless, rows a second, on {FRICTIONLESS_ROWS} rows ({found})"
    say(words, "60 x", f"{ratio:.0f} x", f"{one.seconds:.2f}", f"{one.work:.2f}", f"{one.peak:.0f}")


def measure_memory(directory: Path) -> None:
    """Print the peak memory at 1 GB and at 10 GB."""
    for gigabytes in (1, 10):
        if shutil.disk_usage(directory).free < (gigabytes + 0.2) * 10**9:
            print(f"{gigabytes} GB: skipped, {directory} has no room for it")
            continue
        file = generate(directory / "large.csv", int(gigabytes * 10**9 / BYTES_PER_ROW))
        one = run("ours", file)
        exact = "exactly the planted faults" if one.found == planted(file) else "NOT the planted faults"
        print(f"{file.stat().st_size / 1e9:.2f} GB: peak {one.peak:.0f} MB, {one.seconds:.1f} s, {exact}", flush=True)
        file.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="only measure the peak memory at 1 GB and 10 GB")
    parser.add_argument("--directory", type=Path, help="where the files are written, and deleted")
    parser.add_argument("--contestant", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contestant:
        name, path = given.contestant
        print(json.dumps(CONTESTANTS[name](path)))
        return
    rivals = ["raw", "csv_module"]
    for name in ("polars", "frictionless"):
        if importlib.util.find_spec(name):
            rivals.append(name)
        else:
            print(f"{name}: skipped, not installed")
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        if given.memory:
            measure_memory(Path(directory))
        else:
            measure(Path(directory), given.rows, given.rounds, rivals)


if __name__ == "__main__":
    main()
