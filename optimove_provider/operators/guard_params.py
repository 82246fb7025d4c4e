"""Guards as fields of a DAG's trigger form, so that who knows that a load is meant can let it through for one run.

with DAG(..., params={**guard_params("snapshot")}):
    OptixUploadOperator(..., source_is="snapshot", guards=guards_of_run("snapshot"))
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow.providers.common.compat.sdk import Param

from optimove_provider.options import Guards

SourceIs = Literal["snapshot", "delta"]

_TEXTS: Mapping[str, str] = {
    "allow_empty": "Guard: a source without rows is no accident",
    "min_rows_share": "Guard: a load has at least this share of the rows of the one before; 0 lets any through",
    "min_filled_share": "Guard: a column that was filled stays so in more than this share of the rows; 0 lets all but "
    "an empty one through",
    "max_changed_share": "Guard: of the records that the target has, at most this share changes; 1 lets all change",
}
_OF_SOURCE: Mapping[SourceIs, Sequence[str]] = {"snapshot": tuple(_TEXTS), "delta": ("max_changed_share",)}


def guard_params(source_is: SourceIs) -> dict[str, Param]:
    """The fields, by the names of the guards that such a source meets, each with its default.

    :param source_is: what the load's source is, "snapshot" or "delta": a delta meets one guard only.
    """
    defaults = Guards()
    return {name: _param(getattr(defaults, name), _TEXTS[name]) for name in _OF_SOURCE[source_is]}


def guards_of_run(source_is: SourceIs) -> dict[str, Any]:
    """The value of `guards=` that obeys these fields.

    :param source_is: as for `guard_params`.
    """
    return {name: f"{{{{ params.{name} }}}}" for name in _OF_SOURCE[source_is]}


def _param(default: Any, description: str) -> Param:
    if isinstance(default, bool):
        return Param(default, type="boolean", description=description, section="Guards")
    return Param(default, type="number", minimum=0, maximum=1, description=description, section="Guards")
