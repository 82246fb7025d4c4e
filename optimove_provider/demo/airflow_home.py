"""An AIRFLOW_HOME with connections to an emulator, as environment variables.

Airflow reads its settings once, when it is imported: put these into the environment before that.
"""

import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from optimove_provider.demo.loopback import bypass_proxies
from optimove_provider.disk.modes import PRIVATE

# The credentials that the emulator accepts unless it is told otherwise.
API_KEY, BRAND_KEY, TOKEN = "emulator-api-key", "emulator-brand-key", "emulator-token"


def environment(home: Path, dags: Path) -> dict[str, str]:
    """Airflow's settings for a home folder of our own, which is made: SQLite metadata, our DAGs only."""
    home = home.resolve()
    home.mkdir(PRIVATE.folder, parents=True, exist_ok=True)
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags.resolve()),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__OPTIMOVE__STAGING": str(home / "optimove"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def connections(emulator_url: str, s3_url: str, warehouse: Path) -> dict[str, dict[str, Any]]:
    """Connection id -> its fields, in the shape that `airflow connections import` reads.

    Port 0 is none: with no port stored at all, the Test button of Airflow 3.3 answers "Bad Request".
    """
    return {
        "optix_default": {
            "conn_type": "optimove_optix",
            "host": f"{emulator_url}/api/data-connections/v1",
            "port": 0,
            "password": API_KEY,
            "extra": {"brand_api_key": BRAND_KEY},
        },
        "dcp_default": {
            "conn_type": "optimizely_dcp",
            "host": f"{emulator_url}/experiment/v1",
            "port": 0,
            "password": TOKEN,
            "extra": {
                "profile_host": f"{emulator_url}/vis/api",
                "rest_host": f"{emulator_url}/v2",
                "rest_token": TOKEN,
                "s3_endpoint_url": s3_url,
                "region": "us-east-1",
                "upload_history_url": f"{emulator_url}/_emulator/uploads/{{table_id}}",
            },
        },
        "warehouse_default": {"conn_type": "sqlite", "host": str(warehouse.resolve())},
    }


def as_variables(connections: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The same as AIRFLOW_CONN_* variables. These win over connections that are edited in Airflow's UI."""
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}


def enter(variables: Mapping[str, str], into: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables, after every setting, connection and variable of another Airflow is taken out."""
    for name in [name for name in into if name.startswith("AIRFLOW_")]:
        del into[name]
    into.update(variables)
    bypass_proxies(into)
