"""The commands within Airflow's own command line."""

import json
import subprocess
import sys
from pathlib import Path

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
    assert [(one.name, [arg.flags for arg in one.args]) for one in group.subcommands] == [
        (command.name, [option.flags for option in command.options]) for command in COMMANDS
    ]
