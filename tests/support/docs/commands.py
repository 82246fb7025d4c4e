"""The commands of the pages' shell blocks, and what says whether each exists and takes its options."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from functools import cache

import yaml
from packaging.requirements import Requirement

from optimove_provider import get_provider_info
from optimove_provider.contract.wire.messages import Request
from optimove_provider.emulator.dispatch import handle
from optimove_provider.emulator.model.state import State
from tests.support.docs.blocks import ROOT, Block

Words = list[str]
_SHELL = re.compile(r"[A-Z_]+=\S*")


def commands(block: Block) -> Iterator[Words]:
    """The commands of a block as words: of a console's, what stands after the prompts."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    open_quote = ""
    for line in lines:
        try:
            words = shlex.split(open_quote + line, comments=True)
        except ValueError:  # a text in quotes goes on in the next line
            open_quote += line + "\n"
            continue
        open_quote = ""
        while "&&" in words:
            yield words[: words.index("&&")]
            words = words[words.index("&&") + 1 :]
        if words:
            yield words
    assert not open_quote, f"{block}: a quote is not closed"


def check(words: Words) -> None:
    """Raise for a command that is not there, or does not take these options."""
    while _SHELL.fullmatch(words[0]):
        words = words[1:]
    checker = CHECKERS.get(words[0])
    assert checker, f"nothing checks {words[0]}: {words}"
    checker(words[1:])


def _make(words: Words) -> None:
    targets = re.findall(r"^([a-z-]+):", ROOT.joinpath("Makefile").read_text(), re.MULTILINE)
    assert not [word for word in words if "=" not in word and word not in targets], words


@cache
def _airflows_parser():
    from airflow.cli.cli_parser import get_parser

    return get_parser()


def _airflow(words: Words) -> None:
    try:
        _airflows_parser().parse_args(words)
    except SystemExit as ended:
        if ended.code:  # it is 0 for --help
            raise AssertionError(f"airflow {shlex.join(words)}") from None


def _python(words: Words) -> None:
    if words[:2] == ["-m", "optimove_provider"]:
        _airflow(["optimove", *words[2:]])
    elif words[:2] == ["-m", "optimove_provider.emulator"]:
        source = ROOT.joinpath("optimove_provider/emulator/__main__.py").read_text()
        assert all(f'"{word}"' in source for word in words[2:] if word.startswith("--")), words
    else:
        program = f"{words[1].replace('.', '/')}.py" if words[0] == "-m" else words[0]
        source = ROOT.joinpath(program).read_text()
        assert all(f'"{word}"' in source for word in words if word.startswith("--")), words


def _pip(words: Words) -> None:
    assert words[0] == "install"
    about = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
    for wanted in map(Requirement, words[1:]):
        assert wanted.name == about["name"]
        assert wanted.extras <= set(about["optional-dependencies"])


def _docker(words: Words) -> None:
    assert words[0] == "compose", words
    services = yaml.safe_load(ROOT.joinpath("docker-compose.yaml").read_text())["services"]
    command, *rest = (word for word in words[1:] if not word.startswith("-"))
    assert command in ("config", "down", "exec", "logs", "ps", "restart", "up"), words
    assert not rest or rest[0] in services, words
    if command == "exec" and rest[1] == "airflow":
        _airflow(rest[2:])


def _export(words: Words) -> None:
    """A connection, with no field that its form has not; or an option of ours."""
    name, _, value = words[0].partition("=")
    if name.startswith("AIRFLOW__OPTIMOVE__"):
        assert name.removeprefix("AIRFLOW__OPTIMOVE__").lower() in get_provider_info()["config"]["optimove"]["options"]
    elif name.startswith("AIRFLOW_CONN_"):
        connection = json.loads(value)
        (kind,) = [
            one for one in get_provider_info()["connection-types"] if one["connection-type"] == connection["conn_type"]
        ]
        assert set(connection) <= {"conn_type", "host", "password", "port", "extra"}
        assert set(connection.get("extra", {})) <= set(kind["conn-fields"])
    else:
        assert name in ("AIRFLOW__CORE__TEST_CONNECTION",), name


def _curl(words: Words) -> None:
    """Ask an emulator for it, in process."""
    rest = iter(words)
    method, body, headers, url = "", None, {}, ""
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-d":
            body = next(rest).encode()
        elif word == "-H":
            key, _, value = next(rest).partition(": ")
            headers[key] = value
        elif not word.startswith("-"):
            url = word
    path = url.partition("://")[2].partition("/")[2]
    answer = handle(
        State(), Request(method or ("POST" if body is not None else "GET"), f"/{path}", body=body, headers=headers)
    )
    assert answer.status < 400, (words, answer)


def _cp(words: Words) -> None:
    assert ROOT.joinpath(words[0]).exists(), words


CHECKERS: dict[str, Callable[[Words], None]] = {
    "airflow": _airflow,
    "cp": _cp,
    "curl": _curl,
    "docker": _docker,
    "export": _export,
    "make": _make,
    "pip": _pip,
    "python": _python,
}
