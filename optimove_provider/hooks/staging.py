"""Where loads keep their state."""

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from optimove_provider.loads.staging import Staging


def staging() -> "Staging":
    """Where loads keep their state: `[optimove] staging`, or a folder in AIRFLOW_HOME."""
    from airflow.configuration import AIRFLOW_HOME
    from airflow.sdk import ObjectStoragePath

    from optimove_provider.loads.staging import Staging

    place = ObjectStoragePath(conf.get("optimove", "staging", fallback="") or f"{AIRFLOW_HOME}/optimove")
    return Staging(place.fs, place.path)
