"""All commands, and how Python's and Airflow's command lines get them."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from optimove_provider import __version__
from optimove_provider.cli import person
from optimove_provider.cli.command import CODES, Command
from optimove_provider.cli.files import INFER, TEMPLATE, VALIDATE
from optimove_provider.cli.history import HISTORY
from optimove_provider.cli.ledger import BACKUP, FORGET, LIST, MOVE, OWED, REBUILD, SHOW
from optimove_provider.cli.loads import LOAD, PLAN, REPLAY

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

_PROGRAM = "python -m optimove_provider"
GROUPS = {
    "ledger": "What targets have accepted, as staging remembers it",
    "suppressions": "Keys that no load brings to a target, as after a request to be removed",
}
"""Of commands, and what each is about."""
_ALONE = (HISTORY, PLAN, LOAD, REPLAY, VALIDATE, INFER, TEMPLATE, person.FORGET)
COMMANDS = (*_ALONE, LIST, SHOW, OWED, FORGET, MOVE, BACKUP, REBUILD, *person.SUPPRESSIONS)
_TOLD = "Load rows and see what became of them, check CSV files, look into ledgers"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code, as `CODES` says."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Rows for Opti-X and for Optimizely's DCP.",
        epilog=CODES,
        formatter_class=as_written,
    )
    parser.add_argument("--version", action="version", version=f"optimove-provider {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    groups = {
        name: commands.add_parser(name, help=about, description=about).add_subparsers(metavar="COMMAND", required=True)
        for name, about in GROUPS.items()
    }
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        of_command = groups.get(group, commands).add_parser(
            name,
            help=command.help,
            description=command.help,
            epilog=command.epilog(_PROGRAM),
            formatter_class=as_written,
        )
        of_command.set_defaults(command=command)
        for option in command.options:
            of_command.add_argument(*option.flags, **option.settings)
    wanted = parser.parse_args(arguments)
    command = wanted.command
    return int(command.start(wanted))


def get_commands() -> "list[CLICommand]":
    """The same commands for Airflow's own command line."""
    from airflow.cli.cli_config import GroupCommand

    groups = [GroupCommand(name, about, _actions(name)) for name, about in GROUPS.items()]
    return [GroupCommand("optimove", _TOLD, [*_actions(""), *groups])]


def _actions(wanted: str) -> "list[CLICommand]":
    """The commands of a group, or those of none."""
    from airflow.cli.cli_config import ActionCommand, Arg

    named = [(*command.name.rpartition(" "), command) for command in COMMANDS]
    return [
        ActionCommand(
            name,
            command.help,
            _action(command),
            [Arg(option.flags, **option.settings) for option in command.options],
            epilog=command.epilog("airflow optimove"),
        )
        for group, _, name, command in named
        if group == wanted
    ]


def _action(command: Command) -> Callable[[argparse.Namespace], None]:
    return lambda wanted: sys.exit(command.start(wanted))
