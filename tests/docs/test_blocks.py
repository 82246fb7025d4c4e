"""Every code block of every page is run, or parsed by what it is for; or the page says why it is not."""

import configparser
import json

import duckdb
import pytest
import yaml

from optimove_provider import get_provider_info
from tests.support.docs import commands, python_blocks
from tests.support.docs.blocks import blocks

BLOCKS = blocks()
LANGUAGES = ("python", "sh", "console", "json", "yaml", "ini", "sql", "text", "mermaid")
"""Each is tried below, but for text, which is layouts and formulas, and a picture that is printed from a table."""


def of(*languages):
    return [block for block in BLOCKS if block.language in languages and not block.not_run]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_what_it_is(block):
    """An indented one says nothing. What is in braces is Sphinx's own, which the site's build checks."""
    assert block.language in LANGUAGES or block.language.startswith("{")


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_runs_as_a_dag_file(block):
    python_blocks.run(block.text)


@pytest.mark.parametrize("block", of("sh", "console"), ids=str)
def test_commands_are_there_and_take_their_options(block):
    found = list(commands.commands(block))
    assert found
    for words in found:
        commands.check(words)


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_is_json(block):
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_is_a_pod_whose_container_airflow_finds(block):
    """Airflow's executor takes the container called base."""
    pod = yaml.safe_load(block.text)
    (container,) = pod["spec"]["containers"]
    assert (pod["kind"], container["name"], pod["spec"]["restartPolicy"]) == ("Pod", "base", "Never")
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


@pytest.mark.parametrize("block", of("ini"), ids=str)
def test_configuration_has_options_that_are_there(block):
    read = configparser.ConfigParser()
    read.read_string(block.text)
    ours = get_provider_info()["config"]["optimove"]["options"]
    from airflow.configuration import conf

    for section in read.sections():
        assert all(name in ours if section == "optimove" else conf.has_option(section, name) for name in read[section])


@pytest.mark.parametrize("block", of("sql"), ids=str)
def test_sql_parses(block):
    assert duckdb.extract_statements(block.text)


def test_what_is_not_run_says_why():
    assert all(len(block.not_run.split()) > 3 for block in BLOCKS if block.not_run)


@pytest.mark.parametrize(
    "words",
    [
        ["make", "nothing-like-it"],
        ["airflow", "optimove", "plan", "--no-such-option"],
        ["python", "-m", "optimove_provider.emulator", "--no-such-option"],
        ["pip", "install", "airflow-provider-optimove[nothing]"],
        ["docker", "compose", "logs", "nobody"],
        ["curl", "http://localhost:8099/_emulator/nothing"],
        ["cp", "nothing", "something"],
        ["rm", "-rf", "x"],
    ],
    ids=" ".join,
)
def test_a_command_that_is_wrong_is_found(words):
    with pytest.raises(AssertionError):
        commands.check(words)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("OptixUploadOperator(..., mod='full')", TypeError),
        ("OptixUploadOperator(..., mode='ful')", Exception),
        ("from optimove_provider.options import Guard", ImportError),
        ("Guards(min_row_share=1)", TypeError),
    ],
)
def test_python_that_is_wrong_is_found(text, error):
    with pytest.raises(error):
        python_blocks.run(text)
