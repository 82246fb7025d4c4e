"""The commands within Airflow's own command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

from airflow.cli.cli_config import GroupCommand

from optimove_provider.cli import COMMANDS, get_commands

AIRFLOW = Path(sys.executable).with_name("airflow")


def test_airflow_validates_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("customerId,n\n1,2\n2,x\n")
    (tmp_path / "a.json").write_text('[{"name": "n", "datatype": "long", "format": null}]')
    arguments = ["optimove", "validate", "a.csv", "--attributes", "a.json", "--format", "json"]
    done = subprocess.run([AIRFLOW, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["counts"] == {"long": 1}


def test_airflow_has_the_same_commands_and_options():
    (group,) = get_commands()
    assert group.name == "optimove"
    assert list(_leaves(group.subcommands)) == [
        (command.name, [option.flags for option in command.options]) for command in COMMANDS
    ]


def _leaves(commands, group=""):
    for one in commands:
        if isinstance(one, GroupCommand):
            yield from _leaves(one.subcommands, f"{group}{one.name} ")
        else:
            yield f"{group}{one.name}", [arg.flags for arg in one.args]


def test_airflow_knows_a_command_within_a_group(tmp_path):
    arguments = ["optimove", "ledger", "forget", "--dry-run", "12"]
    environment = {**os.environ, "AIRFLOW__OPTIMOVE__STAGING": str(tmp_path)}
    done = subprocess.run([AIRFLOW, *arguments], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (done.returncode, "table 12 has no ledger in" in done.stderr) == (2, True), done.stderr
