"""Measures files of bad shapes at n and at 2n: what is linear takes twice as long, in memory that does not grow.

    PYTHONPATH=. python -m benchmarks.shapes                     # all of them, at full size
    PYTHONPATH=. python -m benchmarks.shapes --share 0.02        # a fiftieth of that
    PYTHONPATH=. python -m benchmarks.shapes stripped "blank lines"

Each run is the whole command (`validate` with its defaults, `infer`), or all that is done to a source before it is sent
(reading and encoding), in a process of its own. Seconds are those of the processors, imports left out. The shapes are
those of real mishaps: an export without quotes, a broken join, a dump of the wrong table.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

LIMIT_SECONDS = 90
"""A run that takes longer on the processors is ended."""

Lines = Iterable[str]


@dataclass(frozen=True, slots=True)
class Shape:
    """`lines` makes the text of a file of size `n`; `run` does to it what a user does, with these attributes or all."""

    name: str
    n: int
    lines: Callable[[int], Lines]
    run: Callable[[Path], None]
    attributes: Callable[[int], list[str]] = lambda n: ["a", "b"]


def validate(path: Path) -> None:
    """The command with its defaults."""
    _command("validate", str(path), "--attributes", str(path.with_suffix(".json")))


def infer(path: Path) -> None:
    """The command with its defaults."""
    _command("infer", str(path))


def _command(*arguments: str) -> None:
    from optimove_provider.__main__ import main

    sys.argv = ["optimove_provider", *arguments]
    main()


def source(path: Path) -> None:
    """Read and encode all rows, as before a load into Opti-X; the file may be refused."""
    from optimove_provider.contract.wire.errors import DataError
    from optimove_provider.records.read.sources import file_rows
    from optimove_provider.records.rows import Unread
    from optimove_provider.records.to_json.encode import Encoder

    try:
        for batch in file_rows([str(path)], partial(open, mode="rb")):
            if not isinstance(batch, Unread):
                Encoder(batch.schema, "customerId").encode(batch)
    except DataError as error:
        print(f"refused: {error!s:.150}")


HEADER = "customerId,a,b\n"


def rows(line: Callable[[int], str], header: str = HEADER) -> Callable[[int], Lines]:
    """A header, and `n` times a line."""

    def lines(n: int) -> Iterator[str]:
        yield header
        yield from map(line, range(n))

    return lines


def names(n: int) -> list[str]:
    """`n` names of columns."""
    return [f"x{number}" for number in range(n)]


def wide(n: int) -> Iterator[str]:
    """A few rows of `n` columns."""
    yield ",".join(["customerId", *names(n)]) + "\n"
    for row in range(40):
        yield ",".join([f"c{row}", *repeat("some text", n)]) + "\n"


def long_rows(n: int) -> Iterator[str]:
    """Rows of 200 kB, of which no cell is long."""
    yield ",".join(["customerId", *names(2000)]) + "\n"
    yield from (",".join([f"c{row}", *repeat("x" * 100, 2000)]) + "\n" for row in range(n))


def unknown(n: int) -> Iterator[str]:
    """Names that no attribute has."""
    yield ",".join(["customerId", *names(n)]) + "\n"
    yield ",".join(["c1", *repeat("1", n)]) + "\n"


def in_cases(n: int) -> Iterator[str]:
    """Names that are equal but for case."""
    cases = (
        "".join(one.upper() if n >> bit & 1 else one for bit, one in enumerate("abcdefghijklmnopq")) for n in range(n)
    )
    yield ",".join(["customerId", *cases]) + "\n"
    yield ",".join(["c1", *repeat("1", n)]) + "\n"


def once(begin: str, piece: str, end: str, header: str = HEADER) -> Callable[[int], Lines]:
    """A header and one text in which a piece stands `n` times."""

    def lines(n: int) -> Iterator[str]:
        yield header + begin
        yield from (piece * min(1 << 14, n - at) for at in range(0, n, 1 << 14))
        yield end

    return lines


def members(n: int) -> Iterator[str]:
    """JSON Lines of which each has a member of its own name."""
    return (f'{{"customerId":"c{row}","bought_{row}":1}}\n' for row in range(n))


ANYTHING = ["a", "b"]
CSV = (
    Shape("stripped of their outer quotes", 200_000, rows(lambda row: f'c{row}","x","y\n'), validate),
    Shape('lines of x","y', 200_000, rows(lambda row: 'x","y\n'), validate),
    Shape('lines of x","y, as a source', 200_000, rows(lambda row: 'x","y\n'), source),
    Shape("blank lines", 5_000_000, rows(lambda row: "\n"), validate),
    Shape("blank lines, as a source", 5_000_000, rows(lambda row: "\n"), source),
    Shape("each second line blank", 2_000_000, rows(lambda row: f"\nc{row},x,y\n"), validate),
    Shape("registered columns", 100_000, wide, validate, names),
    Shape("many columns, as a source", 100_000, wide, source),
    Shape("many columns, by infer", 20_000, wide, infer),
    Shape("rows of 200 kB", 500, long_rows, validate, lambda n: names(2000)),
    Shape("unknown columns", 20_000, unknown, validate),
    Shape("columns equal but for case", 100_000, in_cases, validate),
    Shape(
        "one column, all of it e-mail addresses",
        2_000_000,
        rows(lambda row: f"user{row}@example.com\n", "customerId\n"),
        validate,
    ),
    Shape("a bare quote in each row", 200_000, rows(lambda row: f'c{row},6" wide,y\n'), validate),
    Shape("a bare quote in each row, as a source", 200_000, rows(lambda row: f'c{row},6" wide,y\n'), source),
    Shape("an unclosed quote in each row", 200_000, rows(lambda row: f'c{row},"x,y\n'), validate),
    Shape("text after quotes in each row", 200_000, rows(lambda row: f'c{row},"x"y,z\n'), validate),
    Shape("a space before quotes in each row", 2_000_000, rows(lambda row: f'c{row}, "x", "y"\n'), validate),
    Shape("quotes doubled", 20_000_000, once('c1,"', '""', '",y\n'), validate),
    Shape("quotes alone", 20_000_000, once("c1,", '"', ",y\n"), validate),
    Shape("one cell", 100_000_000, once("c1,", "x", ",y\n"), validate),
    Shape("one cell without end", 10_000_000, once('c1,"', "x,y\n", ""), validate),
    Shape("one row of many cells", 20_000_000, once("c1", ",x", "\n"), validate),
    Shape("rows ended by CR alone", 2_000_000, once("", "c1,x,y\r", "", "customerId,a,b\r"), validate),
    Shape("too few cells in each row", 500_000, rows(lambda row: f"c{row},x\n"), validate),
    Shape("too few cells in each row, as a source", 500_000, rows(lambda row: f"c{row},x\n"), source),
    Shape("a NUL in each row", 200_000, rows(lambda row: f"c{row},x\0,y\n"), validate),
    Shape("the header in each row", 200_000, rows(lambda row: HEADER), validate),
    Shape("no ids", 1_000_000, rows(lambda row: ",x,y\n"), validate),
    Shape("one id", 1_000_000, rows(lambda row: "c1,x,y\n"), validate),
)
JSON_LINES = (
    Shape("JSON: members of other names", 20_000, members, source),
    Shape("JSON: lines that are none", 500_000, rows(lambda row: "{]\n", ""), source),
    Shape("JSON: blank lines", 5_000_000, rows(lambda row: "\n", ""), source),
    Shape("JSON: one line", 100_000_000, once('{"customerId":"', "x", '"}\n', ""), source),
    Shape("JSON: one deep line", 4_000_000, once('{"customerId":"1","a":', "[", "\n", ""), source),
    Shape("JSON: one number", 4_000_000, once('{"customerId":"1","a":', "9", "}\n", ""), source),
)
SHAPES = (*CSV, *JSON_LINES)


def write(shape: Shape, n: int, folder: Path) -> Path:
    """The file, and the attributes beside it."""
    path = folder / ("file.jsonl" if shape in JSON_LINES else "file.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(shape.lines(n))
    listed = [{"name": name, "datatype": "string", "format": None} for name in shape.attributes(n)]
    path.with_suffix(".json").write_text(json.dumps(listed))
    return path


def run(number: int, path: Path) -> None:
    """One run; prints its CPU seconds to stderr."""
    import pyarrow.compute
    import pyarrow.csv  # noqa: F401

    import optimove_provider.cli.files
    import optimove_provider.records.read.sources  # noqa: F401

    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_SECONDS, LIMIT_SECONDS))
    start = time.process_time()
    try:
        SHAPES[number].run(path)
    except SystemExit as error:
        if error.code == 2:
            raise
    finally:
        print(f"\n{time.process_time() - start:.3f}", file=sys.stderr)


def measured(number: int, path: Path) -> tuple[float, float] | None:
    """CPU seconds and peak MB of a process; None if it was ended."""
    command = [sys.executable, "-m", "benchmarks.shapes", "--run", str(number), str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        _, told = process.communicate()
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return None
    if process.returncode:
        raise SystemExit(told)
    seconds, peak = told.split()[-2:]
    return float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="what the names of the shapes hold; without any, all")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--run", nargs=2, metavar=("NUMBER", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(int(given.run[0]), Path(given.run[1]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
        return
    print("| shape | 2n | CPU seconds at n | at 2n | ratio | peak MB at n | at 2n |\n" + "| --- " * 7 + "|")
    for number, shape in enumerate(SHAPES):
        if not given.names or any(name in shape.name for name in given.names):
            print("| " + " | ".join(told(number, max(1, int(shape.n * given.share)))) + " |", flush=True)


def told(number: int, most: int) -> Iterator[str]:
    """The cells of one line of the table."""
    shape = SHAPES[number]
    with tempfile.TemporaryDirectory() as folder:
        half, whole = (measured(number, write(shape, n, Path(folder))) for n in (max(1, most // 2), most))
    yield from (shape.name, f"{most:,}")
    yield from (f"{one[0]:.2f}" if one else f"over {LIMIT_SECONDS}" for one in (half, whole))
    yield f"{whole[0] / half[0]:.1f}" if half and whole else ""
    yield from (f"{one[1]:.0f}" if one else "" for one in (half, whole))


if __name__ == "__main__":
    main()
