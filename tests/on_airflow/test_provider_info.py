"""The metadata that Airflow reads: valid by Airflow's own schemas, and true of the package."""

import importlib
import importlib.metadata
import json
import pkgutil
import subprocess
import sys
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
