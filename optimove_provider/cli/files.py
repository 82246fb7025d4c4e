"""The commands about one file: check it, infer its attributes, print a header."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TextIO

from optimove_provider.cli.command import FINDINGS, OK, Command, number, option
from optimove_provider.contract.cells.datatypes import KEY_COLUMN, Attribute, is_key_column
from optimove_provider.contract.cells.registered import Registered, problems, usable
from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError, SettingsError
from optimove_provider.disk import temporary
from optimove_provider.records.findings.formats import FORMATS, write
from optimove_provider.records.output_files import check_outputs, written_files

if TYPE_CHECKING:
    from optimove_provider.records.findings.findings import Findings
    from optimove_provider.records.validate.row_sink import Split

STDIN = "-"


class Progress(NamedTuple):
    """Takes the rows and bytes read so far, then how many ids were compared, and how many there are."""

    read: Callable[[int, int], None]
    compared: Callable[[int, int], None]


def validate(wanted: argparse.Namespace, out: TextIO) -> int:
    """Check a file and write the report."""
    from optimove_provider.records.files import converted, decompressed, transcoded
    from optimove_provider.records.key import DCP_KEY, Key
    from optimove_provider.records.observe.defaults import observers_for
    from optimove_provider.records.observe.pii import pii_names
    from optimove_provider.records.validate.validate import Options, check_csv

    temporary.sweep()
    attributes = None if _is_for_optix(wanted) else _attributes(wanted)
    inputs, outputs = (wanted.file, wanted.attributes), (wanted.output, *(wanted.split or ()))
    check_outputs(filter(None, inputs), (one for one in outputs if one is not None))
    delimiter = _delimiter(wanted)
    read_as = converted(wanted.file, delimiter, wanted.encoding)
    key = DCP_KEY if wanted.primary_key is None else Key.of_optix(wanted.primary_key)
    observers = partial(
        observers_for,
        key=key,
        identifiers=not wanted.no_identifiers,
        pii=wanted.primary_key is None,
        allowed_pii=wanted.allow_pii,
    )
    with _opened(wanted.file) as packed, _split(wanted.split, delimiter) as split, _progress(packed) as progress:
        options = Options(
            file=wanted.file,
            strict=wanted.strict,
            delimiter=delimiter,
            max_findings=wanted.max_findings,
            key=key,
            about_names=partial(pii_names, allowed=wanted.allow_pii) if wanted.primary_key is None else lambda _: (),
            observers=partial(observers, on_compared=progress.compared) if progress else observers,
            converted=read_as,
        )
        read = progress.read if progress else None
        text = transcoded(decompressed(packed, wanted.file), wanted.file, wanted.encoding)
        report = check_csv(text, attributes, options, read, split)
    _write_report(report, wanted.format, wanted.output, out)
    return FINDINGS if report.errors else OK


def _delimiter(wanted: argparse.Namespace) -> str:
    from optimove_provider.records.files import check_delimiter, delimiter_of

    return delimiter_of(wanted.file) if wanted.delimiter is None else check_delimiter(wanted.delimiter)


def infer(wanted: argparse.Namespace, out: TextIO) -> int:
    """Print an attributes file, and on stderr why each column has its datatype."""
    from optimove_provider.records.files import decompressed, transcoded
    from optimove_provider.records.infer import infer as guess

    with _opened(wanted.file) as packed, _progress(packed) as progress:
        stream = transcoded(decompressed(packed, wanted.file), wanted.file, wanted.encoding)
        read = progress.read if progress else None
        guesses = guess(stream, wanted.file, _delimiter(wanted), wanted.rows, read)
    print(*guesses.describe(), sep="\n", file=sys.stderr)
    lines = ",\n".join(f" {json.dumps(attribute)}" for attribute in guesses.as_json())
    out.write(f"[\n{lines}\n]\n" if lines else "[]\n")
    return OK


def template(wanted: argparse.Namespace, out: TextIO) -> int:
    """Print the header of a table's files."""
    attributes = _attributes(wanted)
    names = [one.name for one in usable(attributes) if not one.archived and not is_key_column(one.name)]
    for problem in problems(attributes).values():
        print(f"left out: {problem}", file=sys.stderr)
    csv.writer(out, lineterminator="\n").writerow([KEY_COLUMN, *names])
    return OK


def _attributes(wanted: argparse.Namespace) -> Sequence[Registered]:
    if (wanted.attributes is None) == (wanted.table is None):
        raise SettingsError(
            "give either --attributes FILE or --table ID: the datatypes come from there; "
            "`infer` writes such a file from the values"
        )
    if wanted.table is not None:
        return _table_attributes(wanted.table, wanted.dcp_conn_id)
    return _file_attributes(wanted.attributes)


def _is_for_optix(wanted: argparse.Namespace) -> bool:
    """Whether rows for Opti-X are checked. Raises SettingsError for attributes too, by which no cell would be."""
    if wanted.primary_key is None:
        return False
    for given, flag in ((wanted.attributes, "--attributes"), (wanted.table, "--table")):
        if given is not None:
            raise SettingsError(
                f"{flag} is about a table of DCP, --primary-key about a data connection of Opti-X, which has no "
                "datatypes: give one of the two"
            )
    return True


def _file_attributes(path: str) -> list[Attribute]:
    from optimove_provider.records.attributes import attributes_file

    with _opened(path) as stream:
        return attributes_file(stream, path)


def _table_attributes(table_id: int, conn_id: str) -> list[Registered]:
    from optimove_provider.hooks.dcp import DcpHook

    try:
        with DcpHook(conn_id).get_conn() as client:
            return client.list_attributes(table_id)
    except Exception as error:  # whatever Airflow's secrets backends raise, too
        raise SettingsError(
            f"the attributes of table {table_id} cannot be read: {error}; "
            f"look at the Airflow connection {conn_id!r}, or give --attributes FILE"
        ) from error


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """A local file, a URL of any storage that Airflow knows, or stdin. DataError if it cannot be opened."""
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(_opening(name))
        except OptimoveProviderError:
            raise
        except Exception as error:  # each file system has errors of its own
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DataError(f"{name!r} cannot be read: {reason}; {_advice(name)}") from error
        yield stream


def _opening(name: str) -> AbstractContextManager[BinaryIO]:
    if name == STDIN:
        return nullcontext(sys.stdin.buffer)
    if "://" not in name:
        return Path(name).open("rb")
    from optimove_provider.tasks.sources import open_file

    return open_file(name)


def _advice(name: str) -> str:
    if "://" in name:
        return "give a path, or a URL that may name an Airflow connection, as s3://conn_id@bucket/key does"
    return "give the path of a file"


@contextmanager
def _split(paths: Sequence[str] | None, delimiter: str) -> Iterator["Split | None"]:
    if paths is None:
        yield None
        return
    from optimove_provider.records.validate.row_sink import Split

    with written_files(paths) as (valid, refused):
        yield Split(valid, refused, delimiter)


@contextmanager
def _progress(stream: BinaryIO) -> Iterator[Progress | None]:
    """A bar on stderr if that is a terminal: by the bytes of the file where its size is known."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.description}"))
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        size = _size(stream)
        task = bar.add_task("", total=size)

        def tell(rows: int, read: int) -> None:
            bar.update(task, completed=stream.tell() if size else read, total=size, description=f"{rows:,} rows")

        def compared(done: int, ids: int) -> None:
            words = f"{done:,} of {ids:,} ids compared"
            bar.update(task, completed=done, total=ids, description=words, refresh=True)

        yield Progress(tell, compared)


def _size(stream: BinaryIO) -> int | None:
    """Bytes of a file; None of a pipe."""
    try:
        return os.fstat(stream.fileno()).st_size or None
    except (OSError, AttributeError):
        size = getattr(stream, "size", None)
        return size if isinstance(size, int) else None


def _write_report(report: "Findings", format: str, output: str | None, out: TextIO) -> None:
    if output is None:
        write(report, format, out)
        return
    with written_files([output]) as (file,), _text(file) as text:
        write(report, format, text)
    print(f"{report.describe(limit=0).splitlines()[0]}\nAll findings: {output}", file=sys.stderr)


@contextmanager
def _text(file: BinaryIO) -> Iterator[TextIO]:
    text = TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    yield text
    text.detach()


_FILE = option(
    "file",
    metavar="FILE",
    help="a .csv or .tsv file, also .gz or .zst: a path, a URL of Airflow's object storage, or - for stdin",
)
_READING = (
    option("--delimiter", metavar="CHAR", help="what separates cells: ';', '|', tab; by default the name says it"),
    option("--encoding", metavar="NAME", help="of the file, such as cp1252 or utf-16 (default: utf-8)"),
)
_SCHEMA = (
    option("--attributes", metavar="FILE", help='a JSON list of {"name", "datatype", "format"}'),
    option("--table", metavar="ID", type=number(1), help="the DCP table whose attributes count"),
    option(
        "--dcp-conn-id",
        metavar="CONN_ID",
        default="dcp_default",
        help="the Airflow connection for --table (default: %(default)s)",
    ),
)
_VALIDATING = (
    option("--primary-key", metavar="COLUMN", help="check for Opti-X instead: the data connection's key column"),
    option("--no-identifiers", action="store_true", help="do not compare all ids: nothing is written to the disk"),
    option(
        "--allow-pii",
        metavar="COLUMN",
        action="append",
        default=[],
        help="do not warn that a column looks like personal data; may be repeated",
    ),
    option("--strict", action="store_true", help="refuse what the vendor's guide calls right here and wrong there"),
    option("--format", choices=FORMATS, default="text", help="of the report (default: %(default)s)"),
    option("--output", metavar="FILE", help="where the report goes, instead of stdout"),
    option(
        "--max-findings",
        metavar="N",
        type=number(0),
        default=10_000,
        help="so many findings are listed at most, half of them warnings; all are counted (default: %(default)s)",
    ),
    option(
        "--split",
        metavar=("VALID", "REFUSED"),
        nargs=2,
        help="write the valid rows to one file, the refused ones with their reasons to another",
    ),
)
_ROWS = option("--rows", metavar="N", type=number(1), help="look at the first N rows only")

VALIDATE = Command(
    "validate",
    "Check every cell of a CSV file",
    validate,
    (_FILE, *_READING, *_SCHEMA, *_VALIDATING),
    examples=(
        "validate customers.csv --attributes attributes.json",
        "validate customers.csv.gz --table 4161712130 --split good.csv bad.csv",
        "validate customers.csv --primary-key customer_id --format json",
    ),
)
INFER = Command(
    "infer",
    "Print an attributes file that fits the values of a CSV file",
    infer,
    (_FILE, *_READING, _ROWS),
    examples=("infer customers.csv > attributes.json",),
)
TEMPLATE = Command(
    "template", "Print the header of a table's CSV files", template, _SCHEMA, examples=("template --table 4161712130",)
)
