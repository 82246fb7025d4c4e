"""docker-compose.yaml, Dockerfile and .env.example, as far as they can be judged without an engine.

compose-spec.json is the schema that Docker Compose 5.6.1 carries (compose-spec, Apache License 2.0).
"""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from optimove_provider.demo import airflow_home, journey
from optimove_provider.demo.containers import surroundings
from tests.conftest import DAGS
from tests.support.workers.celery import WORKER

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+):-(\w+)\}")
CHOICES = dict(
    line.split("=") for line in (ROOT / ".env.example").read_text().splitlines() if line[:1] not in ("", "#")
)

COMPOSE = yaml.safe_load(VARIABLE.sub(r"\2", TEXT))
SERVICES = COMPOSE["services"]
ON_AIRFLOW = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
OTHERS_IMAGES = ("postgres", "broker")
OF_ONE_SERVICE = {("ADMIN_PASSWORD", "admin"), ("AIRFLOW__CELERY__WORKER_CONCURRENCY", "2")}
ENVIRONMENT = {name: value for service in ON_AIRFLOW for name, value in SERVICES[service]["environment"].items()}


def test_it_is_a_compose_file():
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(COMPOSE)] == []


def test_every_variable_has_a_default_and_the_example_file_says_which():
    assert dict(VARIABLE.findall(TEXT)) == CHOICES
    assert "$" not in VARIABLE.sub("", TEXT).replace("$$", "")


def test_services_and_volumes_that_are_named_exist():
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] == "service_completed_successfully" or "healthcheck" in SERVICES[name]
        for source in (volume.split(":")[0] for volume in service.get("volumes", ())):
            assert source in COMPOSE["volumes"] or (ROOT / source).is_dir()
    hosts = {host for value in ENVIRONMENT.values() for host in re.findall(r"//(?:\S+@)?([\w-]+)", value)}
    assert hosts == {"localhost", "postgres", "api-server", "emulator", "broker"}


def test_every_service_of_airflow_has_the_same_home_and_settings():
    for name in ON_AIRFLOW:
        assert "airflow-home:/opt/airflow" in SERVICES[name]["volumes"]
        assert ENVIRONMENT.items() - SERVICES[name]["environment"].items() <= OF_ONE_SERVICE
    for option in ("AIRFLOW__OPTIMOVE__STAGING", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"):
        assert ENVIRONMENT[option].startswith("/opt/airflow/")


def test_ports_are_open_on_loopback_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert sorted(ports) == ["127.0.0.1:8080:8080", "127.0.0.1:8099:8099", "127.0.0.1:8100:8100"]


def _commands():
    """Each command and health check that the services run, as arguments; those of the shell script one by one."""
    for service in SERVICES.values():
        command = [*service.get("entrypoint", ()), *service.get("command", ())]
        if command[:1] == ["bash"]:
            script = command[-1].replace("$$", "$").replace("\\\n", "")
            yield from (shlex.split(part) for line in script.splitlines() for part in line.split(" || "))
        elif command:
            # What the image's entry point does with a command that is no program.
            yield command if command[0] in ("python", "echo", "valkey-server") else ["airflow", *command]
        kind, *test = service.get("healthcheck", {}).get("test", ["NONE"])
        if kind == "CMD-SHELL":
            yield from (shlex.split(part) for part in test[0].split(" | "))
        elif kind == "CMD":
            yield test


@pytest.mark.parametrize("command", list(_commands()), ids=lambda command: " ".join(command)[:40])
def test_every_command_exists(command):
    from airflow.cli.cli_parser import get_parser

    program, *arguments = command
    assert program in (
        "airflow",
        "celery",
        "python",
        "curl",
        "grep",
        "pg_isready",
        "echo",
        "valkey-server",
        "valkey-cli",
    )
    if program == "airflow":
        get_parser().parse_args(arguments)  # exits if there is no such command or option
    if arguments[:1] == ["-m"]:
        assert importlib.util.find_spec(arguments[1])


def test_every_setting_is_one_that_airflow_or_this_provider_reads():
    from airflow.configuration import conf

    for name in ENVIRONMENT:
        if name.startswith("AIRFLOW__"):
            _, section, option = name.lower().split("__")
            assert option in conf.configuration_description[section]["options"], name


def test_the_connections_are_those_of_the_demo():
    wanted = airflow_home.connections("http://emulator:8099", "http://emulator:8100", Path("unused"))
    prefix = "AIRFLOW_CONN_"
    found = {name.removeprefix(prefix).lower(): json.loads(ENVIRONMENT[name]) for name in ENVIRONMENT if prefix in name}
    assert found.keys() == wanted.keys()
    database = SERVICES["postgres"]["environment"]
    assert found.pop("warehouse_default") == {
        "conn_type": "postgres",
        "host": "postgres",
        "port": 5432,
        "login": database["POSTGRES_USER"],
        "password": database["POSTGRES_PASSWORD"],
        "schema": "warehouse",
    }
    assert found.items() <= wanted.items()


def test_all_but_the_database_run_from_one_image_that_init_builds():
    own = {name: service for name, service in SERVICES.items() if name not in OTHERS_IMAGES}
    assert {service["image"] for service in own.values()} == {"airflow-provider-optimove:local"}
    assert {name for name, service in own.items() if "build" in service} == {"init"}
    assert {name: service["pull_policy"] for name, service in own.items()} == {
        **dict.fromkeys(own, "never"),
        "init": "build",
    }


def test_what_runs_starts_again_and_what_ends_does_not():
    once = {"init", "ready"}
    assert {name: service["restart"] for name, service in SERVICES.items()} == {
        name: "no" if name in once else "unless-stopped" for name in SERVICES
    }


def test_the_last_line_says_where_to_go_once_all_is_healthy():
    always = {name: service for name, service in SERVICES.items() if "profiles" not in service}
    healthy = {name for name, service in always.items() if "healthcheck" in service} - {"postgres"}
    assert SERVICES["ready"]["depends_on"] == {name: {"condition": "service_healthy"} for name in healthy}
    (line,) = SERVICES["ready"]["command"]
    assert line.startswith("ready, open http://localhost:8080 ")


def test_the_profile_celery_is_two_workers_as_the_tests_run_them():
    """tests/endurance/test_workers.py runs that command, with a broker from the same code."""
    of_celery = {name for name, service in SERVICES.items() if service.get("profiles") == ["celery"]}
    assert of_celery == {"broker", "worker"}
    assert tuple(SERVICES["worker"]["command"]) == WORKER
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert "COMPOSE_PROFILES=celery" in (ROOT / ".env.example").read_text()


def test_nothing_that_init_runs_removes_anything_and_the_emulator_keeps_its_state():
    words = [word for command in _commands() for word in command]
    assert not {"rm", "reset", "--volumes"} & set(words)
    place = SERVICES["emulator"]["command"][SERVICES["emulator"]["command"].index("--state-file") + 1]
    assert any(place.startswith(f"{volume.split(':')[1]}/") for volume in SERVICES["emulator"]["volumes"])


def test_the_look_around_warns_of_what_is_too_little_and_ends_the_start_where_dags_are_closed(tmp_path, capfd):
    assert list(surroundings.lacks(8 * surroundings.GB, 4, 20 * surroundings.GB)) == []
    told = list(surroundings.lacks(2 * surroundings.GB, 1, surroundings.GB))
    assert [text.partition(",")[0] for text in told] == ["2.0 GB of memory", "1 processor", "1.0 GB of room are left"]
    (tmp_path / "dags" / "sql").mkdir(parents=True)
    (tmp_path / "dags" / "a.py").write_text("")
    assert surroundings.check(tmp_path) == 0
    (tmp_path / "dags").rename(tmp_path / "elsewhere")
    assert surroundings.check(tmp_path) == 1
    assert "chmod -R a+rX dags" in capfd.readouterr().err


def test_init_makes_the_pools_that_the_dags_need(airflow_db):
    made = [command[3] for command in _commands() if command[:3] == ["airflow", "pools", "set"]]
    needed = {task.pool for dag in journey.load_dags(DAGS).values() for task in dag.tasks}
    assert needed == {"default_pool", *made}


def test_the_image_is_that_of_the_newest_supported_airflow_and_gets_what_it_installs():
    dockerfile = (ROOT / "Dockerfile").read_text()
    (version,) = re.findall(r"^apache-airflow==(.*)$", (ROOT / "constraints/newest.txt").read_text(), re.MULTILINE)
    assert f"FROM apache/airflow:{version}-python3." in dockerfile
    copied = [path for line in re.findall(r"^COPY \S+ (.*)$", dockerfile, re.MULTILINE) for path in line.split()[:-1]]
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(let_in)
    assert all((ROOT / path).exists() for path in copied)
