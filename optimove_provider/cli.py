"""The commands: `python -m optimove_provider validate|infer|template|replay|ledger forget`, and the same as
`airflow optimove ...`.

Airflow imports this module for every `airflow` command, and Python for every `--help`: so what is heavy, pyarrow,
rich and Airflow itself, is imported where it is needed.
"""

import argparse
import csv
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TextIO

from optimove_provider.contract.cells.datatypes import KEY_COLUMN, Attribute, is_key_column
from optimove_provider.contract.cells.registered import Registered, problems, usable
from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError, SettingsError
from optimove_provider.contract.wire.outside import cut
from optimove_provider.contract.wire.shown import shown_lines
from optimove_provider.disk import temporary
from optimove_provider.disk.stopping import Stopped, stopping
from optimove_provider.options import Guards, Sending
from optimove_provider.records.findings.formats import FORMATS, write
from optimove_provider.records.output_files import check_outputs, written_files

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

    from optimove_provider.records.findings.findings import Findings
    from optimove_provider.records.validate.row_sink import Split

OK, FINDINGS, UNREADABLE = 0, 1, 2
_INTERRUPTED = 130
STDIN = "-"


class Progress(NamedTuple):
    """Takes the rows and bytes read so far, then how many ids were compared, and how many there are."""

    read: Callable[[int, int], None]
    compared: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Option:
    """One option or argument, as argparse's add_argument takes it."""

    flags: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `run` writes its result to a stream and returns the exit code, or raises what people should read.

    A name of two words is a command in a group.
    """

    name: str
    help: str
    run: Callable[[argparse.Namespace, TextIO], int]
    options: tuple[Option, ...] = field(default=())

    def start(self, wanted: argparse.Namespace) -> int:
        """Run, and say in a sentence on stderr what cannot be done. Returns the exit code."""
        try:
            with stopping(), _results_only() as out:
                return self.run(wanted, out)
        except OptimoveProviderError as error:
            problem = error.told or str(error)
        except OSError as error:
            where = f"{error.filename!r}: " if error.filename else ""
            problem = f"{where}{error.strerror or error}; mend that and start again"
        except KeyboardInterrupt:
            print(f"{self.name} was interrupted: nothing is known of the rest", file=sys.stderr)
            return _INTERRUPTED
        except Stopped as stopped:
            print(f"{self.name} was stopped by {stopped}: nothing is known of the rest", file=sys.stderr)
            return stopped.exit_code
        except Exception as error:  # of a library, or a bug: not even that may look like a file that was read
            traceback.print_exc()
            problem = f"{type(error).__name__}: {error}. This is a fault of this package: please report it"
        print(f"{self.name}: {shown_lines(cut(problem))}", file=sys.stderr)
        return UNREADABLE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, 1 for findings of severity error, 2 if something cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m optimove_provider", description="Rows for Opti-X and for Optimizely's DCP."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    groups = {
        name: commands.add_parser(name, help=told, description=told).add_subparsers(metavar="COMMAND", required=True)
        for name, told in GROUPS.items()
    }
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        of_command = groups.get(group, commands).add_parser(name, help=command.help, description=command.help)
        of_command.set_defaults(command=command)
        for option in command.options:
            of_command.add_argument(*option.flags, **option.settings)
    wanted = parser.parse_args(arguments)
    command = wanted.command
    return int(command.start(wanted))


def get_commands() -> "list[CLICommand]":
    """The same commands for Airflow's own command line."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def action(command: Command) -> Callable[[argparse.Namespace], None]:
        return lambda wanted: sys.exit(command.start(wanted))

    def actions(wanted: str) -> "list[CLICommand]":
        named = [(*command.name.rpartition(" "), command) for command in COMMANDS]
        return [
            ActionCommand(
                name,
                command.help,
                action(command),
                [Arg(option.flags, **option.settings) for option in command.options],
            )
            for group, _, name, command in named
            if group == wanted
        ]

    groups = [GroupCommand(name, told, actions(name)) for name, told in GROUPS.items()]
    told = "Check CSV files, send rejected rows again, begin ledgers anew"
    return [GroupCommand("optimove", told, [*actions(""), *groups])]


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


def replay(wanted: argparse.Namespace, out: TextIO) -> int:
    """Send a load's rejected rows again, and print the account."""
    from airflow.providers.common.compat.sdk import AirflowException

    from optimove_provider.tasks.replay import replay as again

    guards = Guards.read({"max_changed_share": "off", **_members(wanted.guards)})  # judged when their load was
    sending = Sending.read(_members(wanted.sending))
    try:
        account = again(wanted.file, wanted.optix_conn_id, wanted.dry_run, guards, sending)
    except AirflowException as error:  # there is no such connection
        raise SettingsError(f"{error}; look at the Airflow connection {wanted.optix_conn_id!r}") from error
    out.write(json.dumps(account, indent=2) + "\n")
    if account["message"]:
        print(account["message"], file=sys.stderr)
    return FINDINGS if account["rejected"] or account["message"] else OK


def forget(wanted: argparse.Namespace, out: TextIO) -> int:
    """Begin the ledgers of targets anew, if a person says yes."""
    from optimove_provider.tasks.forget import forget as begin_anew

    def confirmed(told: str) -> bool:
        print(told, file=sys.stderr)
        if wanted.yes:
            return True
        if not sys.stdin.isatty():
            raise SettingsError("nobody can be asked here whether that is to be forgotten: add --yes")
        print("Forget it? Type yes: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().casefold() == "yes"

    for line in begin_anew(wanted.targets, wanted.host, wanted.force, wanted.dry_run, confirmed):
        out.write(f"{line}\n")
    return OK


def _members(texts: Sequence[str]) -> dict[str, str]:
    """{"max_in_flight": "8"} of ["max_in_flight=8"]."""
    members = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"{text!r}: expected NAME=VALUE")
        members[name] = value
    return members


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


@contextmanager
def _results_only() -> Iterator[TextIO]:
    """Stdout for what is yielded; what others print goes to stderr meanwhile: Airflow's loggers write to stdout.

    UTF-8, whatever the locale says. Whoever stops reading, as `head` does, is not told more.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(os.dup(stdout), "w", encoding="utf-8", errors="backslashreplace", newline="") as out:
            yield out
    except BrokenPipeError:
        raise SystemExit(_INTERRUPTED) from None
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"a whole number from {least} on is expected, not {text!r}")
        return int(text)

    return number


def _option(*flags: str, **settings: Any) -> Option:
    return Option(flags, settings)


_FILE = _option(
    "file",
    metavar="FILE",
    help="a .csv or .tsv file, also .gz or .zst: a path, a URL of Airflow's object storage, or - for stdin",
)
_READING = (
    _option("--delimiter", metavar="CHAR", help="what separates cells: ';', '|', tab; by default the name says it"),
    _option("--encoding", metavar="NAME", help="of the file, such as cp1252 or utf-16 (default: utf-8)"),
)
_SCHEMA = (
    _option("--attributes", metavar="FILE", help='a JSON list of {"name", "datatype", "format"}'),
    _option("--table", metavar="ID", type=_number(1), help="the DCP table whose attributes count"),
    _option(
        "--dcp-conn-id",
        metavar="CONN_ID",
        default="dcp_default",
        help="the Airflow connection for --table (default: %(default)s)",
    ),
)
_VALIDATING = (
    _option("--primary-key", metavar="COLUMN", help="check for Opti-X instead: the data connection's key column"),
    _option("--no-identifiers", action="store_true", help="do not compare all ids: nothing is written to the disk"),
    _option(
        "--allow-pii",
        metavar="COLUMN",
        action="append",
        default=[],
        help="do not warn that a column looks like personal data; may be repeated",
    ),
    _option("--strict", action="store_true", help="refuse what the vendor's guide calls right here and wrong there"),
    _option("--format", choices=FORMATS, default="text", help="of the report (default: %(default)s)"),
    _option("--output", metavar="FILE", help="where the report goes, instead of stdout"),
    _option(
        "--max-findings",
        metavar="N",
        type=_number(0),
        default=10_000,
        help="so many findings are listed at most, half of them warnings; all are counted (default: %(default)s)",
    ),
    _option(
        "--split",
        metavar=("VALID", "REFUSED"),
        nargs=2,
        help="write the valid rows to one file, the refused ones with their reasons to another",
    ),
)
_REPLAYING = (
    _option("file", metavar="FILE", help="the .rejected.jsonl file of a load, beside its report"),
    _option(
        "--optix-conn-id",
        metavar="CONN_ID",
        default="optix_default",
        help="the Airflow connection that the load used (default: %(default)s)",
    ),
    _option("--dry-run", action="store_true", help="tell what would be sent, and send nothing"),
    _option(
        "--guards",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"change a guard, of {', '.join(Guards.kinds())}; 'off' switches one off; may be repeated",
    ),
    _option(
        "--sending",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"how it is sent: {', '.join(Sending.kinds())}; may be repeated",
    ),
)
_ROWS = _option("--rows", metavar="N", type=_number(1), help="look at the first N rows only")
_FORGETTING = (
    _option("targets", metavar="TARGET", nargs="+", help="a data connection's uuid, or the number of a DCP table"),
    _option("--host", metavar="URL", default="", help="the host that the ledger is of, where there are several"),
    _option("--dry-run", action="store_true", help="tell what would be forgotten, and change nothing"),
    _option("--yes", action="store_true", help="do not ask"),
    _option(
        "--force",
        action="store_true",
        help="even while a load works on the target, or may have sent rows that are not entered",
    ),
)

GROUPS = {"ledger": "What targets have accepted, as staging remembers it"}
"""Of commands, and what each is about."""
COMMANDS = (
    Command("validate", "Check every cell of a CSV file", validate, (_FILE, *_READING, *_SCHEMA, *_VALIDATING)),
    Command("infer", "Print an attributes file that fits the values of a CSV file", infer, (_FILE, *_READING, _ROWS)),
    Command("template", "Print the header of a table's CSV files", template, _SCHEMA),
    Command("replay", "Send the rejected rows of an Opti-X load again", replay, _REPLAYING),
    Command("ledger forget", "Begin the ledger of a target anew: the next load sends everything", forget, _FORGETTING),
)
