"""DAG files are parsed all day: importing operators and sensors must not load what only their tasks need."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.any_version

AIRFLOW = """
import airflow.triggers.base
from airflow.sdk import DAG, Param
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseSensorOperator, conf
from airflow.providers.common.compat.connection import get_async_connection
"""
OURS = """
import optimove_provider.operators.csv, optimove_provider.operators.dcp, optimove_provider.operators.optix
import optimove_provider.sensors.dcp, optimove_provider.triggers.dcp
"""
HEAVY = ("pyarrow", "boto3", "botocore", "requests", "fsspec", "s3fs", "moto", "urllib3")


def loaded(code: str) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(shown.stdout.split())


@pytest.fixture(scope="module")
def added() -> set[str]:
    return loaded(AIRFLOW + OURS) - loaded(AIRFLOW)


def test_only_this_package_is_added(added):
    assert "optimove_provider.operators.dcp" in added
    assert {name.partition(".")[0] for name in added}.isdisjoint(HEAVY)


def test_the_plugin_adds_no_web_framework():
    """Every process of Airflow imports it."""
    added = loaded("import airflow.plugins_manager, optimove_provider.ui.plugin") - loaded(
        "import airflow.plugins_manager"
    )
    assert "optimove_provider.ui.plugin" in added
    assert {name.partition(".")[0] for name in added} == {"optimove_provider"}
