"""The commands: `python -m optimove_provider ...`, and the same as `airflow optimove ...`."""

from optimove_provider.cli.commands import COMMANDS, get_commands, main

__all__ = ["COMMANDS", "get_commands", "main"]
