"""The asset event of a load: which target it updated, and its account."""

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Asset

from optimove_provider.assets import LOADS, dcp_asset, optix_asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.tasks.telling.story import Story

_SHOWN = ("committed", "nothing_to_send")
"""States in which the target is what the source says. What is only uploaded is not there yet."""


def asset_of(story: "Story") -> Asset | None:
    """The asset that the load updates; None where it is not known, or is none, as with aliases of users."""
    target = story.report.target if story.report else {}
    if "optix" in target:
        return optix_asset(target["optix"], target["host"])
    if story.report and story.report.service_id:
        return dcp_asset(story.report.service_id, target["dcp"], target["host"])
    return None


def emit(context: "Context", story: "Story", outlets: list[object], vendor: str) -> None:
    """Add the load's event, by the alias that every loading task has among its outlets.

    Outlets that the user named get the account too, and the target's own asset no second event. Airflow registers
    nothing of a task that fails.
    """
    events = context.get("outlet_events")
    if events is None or story.failure or not story.has_ended:
        return
    named = [one for one in outlets if isinstance(one, Asset)]
    for one in named:
        events[one].extra.update(story.account())
    asset = asset_of(story)
    if asset and story.state in _SHOWN and asset.uri not in {one.uri for one in named}:
        events[LOADS[vendor]].add(asset, extra=story.account())
