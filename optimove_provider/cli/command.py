"""What a command is: its options, its exit code, where its result and where its errors go.

Airflow imports the commands for every `airflow` command, and Python for every `--help`: so what is heavy, pyarrow, rich
and Airflow itself, is imported where it is needed.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from optimove_provider.contract.wire.errors import OptimoveProviderError, SettingsError
from optimove_provider.contract.wire.outside import cut
from optimove_provider.contract.wire.shown import shown_lines
from optimove_provider.disk.stopping import Stopped, stopping

OK, FINDINGS, UNREADABLE = 0, 1, 2
CODES = """\
exit codes:
  0  all is well
  1  rows were refused or rejected, or what was asked for is not there
  2  it could not be done: the message says why, and what to do
  130 or more: it was interrupted or stopped"""
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Option:
    """One option or argument, as argparse's add_argument takes it."""

    flags: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `run` writes its result to a stream and returns the exit code, or raises what people should read.

    A name of two words is a command in a group. `examples` are what follows the program's name.
    """

    name: str
    help: str
    run: Callable[[argparse.Namespace, TextIO], int]
    options: tuple[Option, ...] = field(default=())
    examples: tuple[str, ...] = field(default=())

    def epilog(self, program: str) -> str:
        """What stands below the options: examples, and what the exit code says."""
        lines = "".join(f"  {program} {example}\n" for example in self.examples)
        return (f"examples:\n{lines}\n" if lines else "") + CODES

    def start(self, wanted: argparse.Namespace) -> int:
        """Run, and say in a sentence on stderr what cannot be done. Returns the exit code."""
        # A command is no task: it finds the connections that are kept in Airflow's database, too.
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
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


def number(least: int) -> Callable[[str], int]:
    """What reads a whole number from so many on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"a whole number from {least} on is expected, not {text!r}")
        return int(text)

    return read


def option(*flags: str, **settings: Any) -> Option:
    """An option or argument."""
    return Option(flags, settings)


def confirmed(question: str, what: str, is_yes: bool) -> Callable[[str], bool]:
    """Tells a person what would be done, and asks, unless the answer is given. Raises SettingsError where nobody can be
    asked whether that is wanted."""

    def ask(told: str) -> bool:
        print(told, file=sys.stderr)
        if is_yes:
            return True
        if not sys.stdin.isatty():
            raise SettingsError(f"nobody can be asked here whether {what}: add --yes")
        print(f"{question} Type yes: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().casefold() == "yes"

    return ask
