"""The metadata that Airflow reads: valid by Airflow's own schemas, and true of the package."""

import importlib
import importlib.metadata
import json
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import airflow
import jsonschema
import pytest

import optimove_provider
from optimove_provider import get_provider_info
from optimove_provider.clients.settings import DcpSettings, OptixSettings

INFO = get_provider_info()
FORMS = {form["connection-type"]: form for form in INFO["connection-types"]}


def schema(name: str) -> dict:
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def test_valid_by_the_runtime_schema():
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_valid_by_the_strict_schema_of_airflows_own_providers():
    # These three describe the releases of a provider in Airflow's own repository and exist for no other.
    releases = {"state": "ready", "source-date-epoch": 1, "versions": [optimove_provider.__version__]}
    jsonschema.validate({**INFO, **releases}, schema("provider.yaml.schema.json"))


def test_the_package_name_is_the_distributions():
    # Airflow raises in every process if the two differ.
    assert importlib.metadata.version(INFO["package-name"]) == optimove_provider.__version__


def test_the_module_that_airflow_derives_from_that_name_is_there_when_it_looks_for_examples(caplog):
    from airflow.dag_processing.bundles import manager

    module = importlib.import_module(INFO["package-name"].replace("-", "_"))
    assert module.__doc__
    wheel = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]
    assert module.__name__ in wheel["wheel"]["packages"]
    if hasattr(manager, "_add_provider_example_dags_to_bundle"):  # not in 3.2
        manager._add_provider_example_dags_to_bundle(found := [])
        assert not [one for one in found if "optimove" in one.name]
        assert "Could not load provider module" not in caplog.text


def test_every_notifier_is_declared():
    from airflow.sdk import BaseNotifier

    from optimove_provider.notifications import load

    own = [one for one in vars(load).values() if isinstance(one, type) and issubclass(one, BaseNotifier)]
    names = [one.__name__ for one in own if one.__module__ == load.__name__ and not one.__name__.startswith("_")]
    assert INFO["notifications"] == [f"{load.__name__}.{name}" for name in names]


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"])
def test_every_module_with_a_class_for_users_is_listed(kind):
    listed = {module for entry in INFO[kind] for module in entry["python-modules"]}
    package = importlib.import_module(f"optimove_provider.{kind}")
    endings = {"operators": "Operator", "sensors": "Sensor", "hooks": "Hook", "triggers": "Trigger"}
    found = set()
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        classes = vars(importlib.import_module(module.name)).values()
        own = [c for c in classes if isinstance(c, type) and c.__module__ == module.name]
        if any(c.__name__.endswith(endings[kind]) for c in own):
            found.add(module.name)
    # The S3 client's hook is no connection type: users never construct it.
    assert found - {"optimove_provider.hooks.s3"} == listed


def test_every_button_is_declared_so_that_airflow_reads_it_back():
    from optimove_provider.links.load import LINKS

    assert INFO["extra-links"] == [f"{type(link).__module__}.{type(link).__name__}" for link in LINKS]


@pytest.mark.parametrize(
    ("conn_type", "settings", "own"),
    [
        ("optimove_optix", OptixSettings, {"conn_id", "host", "api_key"}),
        ("optimizely_dcp", DcpSettings, {"conn_id", "host", "token"}),
    ],
)
def test_the_form_asks_for_what_the_settings_hold(conn_type, settings, own):
    assert set(FORMS[conn_type]["conn-fields"]) | own == set(settings.__dataclass_fields__)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_hook_and_its_form_agree(form):
    module, _, name = form["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (form["connection-type"], form["hook-name"])
    assert "port" not in form["ui-field-behaviour"]["hidden-fields"]


def test_airflow_masks_the_brand_key_by_its_name():
    from airflow.sdk.log import redact

    assert redact({"brand_api_key": "secret-brand"}) == {"brand_api_key": "***"}


def test_airflow_lists_the_provider():
    listed = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", "list", "--output", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    versions = {entry["package_name"]: entry["version"] for entry in json.loads(listed.stdout)}
    assert versions["airflow-provider-optimove"] == optimove_provider.__version__
