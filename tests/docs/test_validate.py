"""What docs/validate.md shows is what the commands print."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from optimove_provider.cli import COMMANDS
from optimove_provider.records.findings.formats import FORMATS, MANY, SHOWN

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "validate.md").read_text()
SHOWN_COMMANDS = re.findall(r"```console\n\$ ([^\n]*)\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("command", "output"), SHOWN_COMMANDS, ids=[command for command, _ in SHOWN_COMMANDS])
def test_the_output_shown_is_the_output(command, output):
    python, *arguments = shlex.split(command)
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments], cwd=DOCS / "examples", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = [line.rstrip() for line in done.stdout.decode().strip("\n").splitlines()]
    assert lines == output.splitlines()


ABOUT_FILES = ("validate", "infer", "template")
OF_LEDGERS = ("ledger forget", "ledger move", "ledger backup", "ledger rebuild")
ON_OTHER_PAGES = ("replay", *OF_LEDGERS)


def test_every_command_and_format_is_shown():
    checking = [command for command in COMMANDS if command.name in ABOUT_FILES]
    assert {command.split()[3] for command, _ in SHOWN_COMMANDS} == {command.name for command in checking}
    assert set(re.findall(r"^\* `(\w+)`", PAGE, re.MULTILINE)) == set(FORMATS)
    assert f"with more than {MANY} findings they come by rule and column first, and {SHOWN} of them are shown" in PAGE
    assert _named(checking) <= set(re.findall(r"--[a-z-]+", PAGE))


def test_every_other_command_is_on_the_page_of_the_command_line():
    page = (DOCS / "command-line.md").read_text()
    others = [command for command in COMMANDS if command.name not in (*ABOUT_FILES, *ON_OTHER_PAGES)]
    for command in COMMANDS:
        assert f"`{command.name}`" in page
    assert _named(others) <= set(re.findall(r"--[a-z-]+", page))


def test_the_replay_is_shown_where_its_file_is_explained():
    page = (DOCS / "reliability.md").read_text()
    assert "python -m optimove_provider replay" in page
    assert _named(command for command in COMMANDS if command.name == "replay") <= set(re.findall(r"--[a-z-]+", page))


@pytest.mark.parametrize("name", OF_LEDGERS)
def test_what_changes_a_ledger_is_shown_where_ledgers_are_explained(name):
    page = (DOCS / "ledger.md").read_text()
    assert f"airflow optimove {name}" in page
    assert _named(command for command in COMMANDS if command.name == name) <= set(re.findall(r"--[a-z-]+", page))


def _named(commands):
    options = (option.flags[0] for command in commands for option in command.options)
    return {flag for flag in options if flag.startswith("--")}
