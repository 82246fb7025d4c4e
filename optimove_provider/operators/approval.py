"""What a person is shown before a plan is carried out, and how much it would change: for DAGs that ask somebody.

Functions for `ApprovalOperator`, as `user_defined_macros` of a DAG: dags/optix_plan_and_approve.py uses both.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from optimove_provider.addresses import load_page, prefix_of

if TYPE_CHECKING:
    from optimove_provider.loads.state.staging import Staging

CHANGES = ("new", "changed", "unknown", "removed")
"""What of a plan is a change to a target; whether an unknown row is one cannot be told."""
_OTHERS = ("expiring", "reverified", "unchanged", "absent", "stale", "suppressed")
_LONGEST = 80


def share_of_change(plan: Mapping[str, Any]) -> float:
    """The share of the rows, and of the keys that a snapshot lacks, that may change the target: of a dry run's result.

    What is unknown counts: after a load that died nobody knows what the target has of its rows.

    :param plan: the result of a load with `dry_run=True`.
    """
    changing = sum(int(plan[name]) for name in CHANGES)
    return changing / max(int(plan["rows"]) + int(plan["removed"]), 1)


def plan_text(plan: Mapping[str, Any], staging: "Staging | None" = None) -> str:
    """A dry run's result for people, in Markdown: counts, samples of old and new, and where its page is.

    Values of records are in it only with `[optimove] show_records`; else the columns that differ are named.

    :param plan: the result of a load with `dry_run=True`.
    :param staging: where its report is; left out, `[optimove] staging`.
    """
    from optimove_provider.loads.history.loads import report_of
    from optimove_provider.tasks import staging as settings

    report = report_of(staging or settings.staging(), plan["load_id"]) or {}
    names = [*CHANGES, *(name for name in _OTHERS if plan.get(name))]
    counts = f"| {' | '.join(names)} |\n|{' --- |' * len(names)}\n| {' | '.join(f'{plan[one]:,}' for one in names)} |"
    samples = "\n".join(_samples((report.get("plan") or {}).get("samples", ()), settings.shows_records()))
    where = f"Plan {plan['plan']}: [its page, with all of it]({_page(plan['load_id'])}); its report: {plan['report']}"
    return "\n\n".join(filter(None, [counts, samples, where]))


def _page(load_id: str) -> str:
    base = urlsplit(str(conf.get("api", "base_url", fallback="") or ""))
    origin = f"{base.scheme}://{base.netloc}" if base.netloc else ""
    return origin + load_page(prefix_of(base.geturl()), load_id)


def _samples(samples: Any, shows_records: bool) -> Iterator[str]:
    if not samples:
        return
    if not shows_records:
        yield "Samples, without values, as `[optimove] show_records` is off:\n"
        yield from (f"* {one.get('kind', 'changed')}: {', '.join(map(_code, one['columns']))}" for one in samples)
        return
    yield "| sample | key | column | there now | in this load |\n| --- | --- | --- | --- | --- |"
    for one in samples:
        for column, (old, new) in one["columns"].items():
            cells = [
                one.get("kind", "changed"),
                _code(_json(one["key"])),
                _code(column),
                _told(one, old),
                _told({}, new),
            ]
            yield f"| {' | '.join(cells)} |"


def _told(sample: Mapping[str, Any], value: Any) -> str:
    return "not known" if sample.get("kind") == "unknown" and value is None else _code(_json(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _code(text: str) -> str:
    """A text as it is, in one cell of a table."""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    shown = text.replace("`", "'").replace("|", "\\|").replace("\n", " ")
    return f"`{shown}`"
