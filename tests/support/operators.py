"""Every operator and sensor that the package offers."""

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.operators import (
    csv,
    dcp,
    dcp_import,
    dcp_sharded,
    dcp_subject_access,
    optix,
    optix_expire,
    sharded,
    source_parts,
)
from optimove_provider.sensors import dcp as sensors

_MODULES = (csv, dcp, dcp_import, dcp_sharded, dcp_subject_access, optix, optix_expire, sharded, source_parts)

OPERATORS = [
    operator
    for module in (*_MODULES, sensors)
    for operator in vars(module).values()
    if isinstance(operator, type) and issubclass(operator, BaseOperator) and operator.__module__ == module.__name__
    if not operator.__name__.startswith("_")
]
