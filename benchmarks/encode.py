"""Measures the encoding of rows as JSON slices of 5000 against csv.DictReader with json.dumps, all in one run.

    PYTHONPATH=. python benchmarks/encode.py [--rows 1000000] [--rounds 3]

Each contestant is a process of its own; they take turns. What is compared is the CPU time from the first row to the
last slice, imports left out; the ratio is the median of the rounds' ratios.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

KEY, SLICE_ROWS = "customerId", 5000

Slice = tuple[int, bytes]
"""How many records, and their JSON."""


def rivals(directory: Path) -> Iterator[Slice]:
    """The plain way: every row a dict of text, every slice a list of dicts."""
    with open(directory / "rows.csv", newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        while rows := list(islice(reader, SLICE_ROWS)):
            yield len(rows), json.dumps(rows).encode()


def from_arrow(directory: Path) -> Iterator[Slice]:
    """Typed rows from an Arrow file."""
    return ours(directory, "rows.arrow")


def from_csv(directory: Path) -> Iterator[Slice]:
    """Rows of text from the same CSV file that the rival reads."""
    return ours(directory, "rows.csv")


def ours(directory: Path, name: str) -> Iterator[Slice]:
    from optimove_provider.records.read.sources import Unread, file_rows
    from optimove_provider.records.to_json.encode import Encoder, slice_text

    encoder = None
    for batch in file_rows([str(directory / name)], partial(open, mode="rb")):
        assert not isinstance(batch, Unread)
        encoder = encoder or Encoder(batch.schema, KEY)
        if batch.num_rows:
            encoded = encoder.encode(batch)
            assert not encoded.unfit
            yield len(encoded.records), slice_text(encoded.records)


_WHOLE_DOUBLE = " c = trunc(c) AND abs(c) < 9007199254740992"
_DUCKDB = {
    "string": "to_json(c)",
    "bool": "CAST(c AS VARCHAR)",
    "int64": "CAST(c AS VARCHAR)",
    "date32[day]": "to_json(c)",
    "double": f"CASE WHEN {_WHOLE_DOUBLE} THEN CAST(CAST(c AS BIGINT) AS VARCHAR) ELSE CAST(c AS VARCHAR) END",
    "timestamp[ms, tz=UTC]": "CASE WHEN microsecond(c) % 1000000 = 0 "
    """THEN strftime(c AT TIME ZONE 'UTC', '"%Y-%m-%dT%H:%M:%SZ"') """
    """ELSE rtrim(strftime(c AT TIME ZONE 'UTC', '"%Y-%m-%dT%H:%M:%S.%f'), '0') || 'Z"' END""",
}
"""A type's JSON, as near to ours as one expression comes: of text without controls, of numbers without exponents."""


def by_duckdb(directory: Path) -> Iterator[Slice]:
    """The same records by one expression of DuckDB, without a look for values that have no form."""
    import duckdb

    from optimove_provider.records.read.sources import Unread, file_rows
    from optimove_provider.records.rows import one_chunk
    from optimove_provider.records.to_json.encode import slice_text

    database = duckdb.connect(config={"threads": 1})
    database.execute("SET timezone = 'UTC'")
    for batch in file_rows([str(directory / "rows.arrow")], partial(open, mode="rb")):
        assert not isinstance(batch, Unread)
        if batch.num_rows:
            members = (
                f"""CASE WHEN "{name}" IS NOT NULL THEN '"{name}":' || """
                + _DUCKDB[str(batch.schema.field(name).type)].replace("(c", f'("{name}"').replace(" c ", f' "{name}" ')
                + " END"
                for name in sorted(batch.schema.names)
            )
            record = f"""'{{' || concat_ws(',', {", ".join(members)}) || '}}'"""
            found = database.from_arrow(batch).project(record).to_arrow_table()
            yield batch.num_rows, slice_text(one_chunk(found.column(0)))


CONTESTANTS: dict[str, Callable[[Path], Iterator[Slice]]] = {
    "csv.DictReader and json.dumps": rivals,
    "from an Arrow file": from_arrow,
    "from the CSV file": from_csv,
    "from an Arrow file, by DuckDB": by_duckdb,
}


def run(contestant: str, directory: Path) -> None:
    """Encode everything, and print the CPU seconds, the rows and the bytes."""
    if CONTESTANTS[contestant] is not rivals:
        import optimove_provider.records.read.sources
        import optimove_provider.records.to_json.encode  # noqa: F401

    began = cpu_seconds()
    size = rows = 0
    for count, slice_ in CONTESTANTS[contestant](directory):
        size += len(slice_)
        rows += count
    print(json.dumps({"cpu": cpu_seconds() - began, "bytes": size, "rows": rows}))


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def write_files(directory: Path, rows: int) -> None:
    """The same rows as CSV, and with types as Arrow; 4 % of the values are null."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv

    random = np.random.default_rng(1)
    notes = ["plain text", "Grüße aus Köln", 'she said "yes"', "two\nlines", "a,b and c", "", "back\\slash", "x" * 30]

    def nullable(values: object, type_: pa.DataType) -> pa.Array:
        return pa.array(values, type_, mask=random.random(rows) < 0.04)

    table = pa.table(
        {
            KEY: pa.array([f"C{number:09}" for number in range(rows)]),
            "isVip": nullable(random.random(rows) < 0.5, pa.bool_()),
            "points": nullable(random.integers(-(2**40), 2**40, rows), pa.int64()),
            "balance": nullable(random.integers(-(10**6), 10**6, rows) / 100, pa.float64()),
            "birthDate": nullable(random.integers(-10_000, 19_000, rows).astype(np.int32), pa.int32()).cast(
                pa.date32()
            ),
            "lastSeen": nullable(random.integers(1_500_000_000, 1_700_000_000, rows) * 1000, pa.int64()).cast(
                pa.timestamp("ms", "UTC")
            ),
            "signupTs": nullable(random.integers(1_500_000_000, 1_700_000_000, rows), pa.int64()),
            "note": nullable(np.array(notes)[random.choice(len(notes), rows, p=NOTE_SHARES)], pa.string()),
        }
    )
    with pa.OSFile(str(directory / "rows.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=64_000)
    seen = pc.strftime(table["lastSeen"].cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    as_text = table.set_column(table.schema.get_field_index("lastSeen"), "lastSeen", seen)
    pacsv.write_csv(as_text, directory / "rows.csv")


NOTE_SHARES = (0.4, 0.1, 0.05, 0.01, 0.1, 0.1, 0.01, 0.23)


def measure(directory: Path, rows: int, rounds: int) -> None:
    """Let the contestants take turns, and print the ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    sizes: dict[str, int] = {}
    for _ in range(rounds):
        for name in CONTESTANTS:
            command = [sys.executable, __file__, "--run", name, "--directory", str(directory)]
            told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603
            assert told["rows"] == rows, told
            seconds[name].append(told["cpu"])
            sizes[name] = told["bytes"]
    assert sizes["from an Arrow file"] == sizes["from an Arrow file, by DuckDB"], sizes
    rival, *others = CONTESTANTS
    print(f"{rows} rows, {rounds} rounds\n\n| what | CPU seconds | times as fast |\n| --- | --- | --- |")
    print(f"| {rival} | {statistics.median(seconds[rival]):.2f} | 1 |")
    for name in others:
        ratio = statistics.median(a / b for a, b in zip(seconds[rival], seconds[name], strict=True))
        print(f"| {name} | {statistics.median(seconds[name]):.2f} | {ratio:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run, options.directory)
        return
    with tempfile.TemporaryDirectory(prefix="encode-") as directory:
        write_files(Path(directory), options.rows)
        measure(Path(directory), options.rows, options.rounds)


if __name__ == "__main__":
    main()
