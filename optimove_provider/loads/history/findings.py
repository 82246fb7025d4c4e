"""What a load found odd, or wrong, in its rows: by rule, with examples, as its file of findings in staging has it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optimove_provider.loads.history.loads import FINDINGS_ENDING
from optimove_provider.loads.state.staging import Staging

EXAMPLES = 3
"""Of a rule, the first ones."""


@dataclass(frozen=True, slots=True)
class Example:
    """One finding: where, what was found there, and what was expected."""

    row: int
    column: str
    value: str
    message: str


@dataclass(frozen=True, slots=True)
class RuleFindings:
    """The findings of one rule: how many, how severe, and some of them."""

    rule: str
    severity: str
    count: int
    examples: tuple[Example, ...]


def findings_of(staging: Staging, report: Mapping[str, Any]) -> list[RuleFindings]:
    """By rule, those that are most first; from the report alone where the file of findings is gone."""
    told = staging.read_whole(f"reports/{report['load_id']}{FINDINGS_ENDING}") or {}
    listed = [one for one in told.get("findings") or () if isinstance(one, Mapping)]
    counts = {**(report.get("warnings") or {}), **(told.get("counts") or {})}
    found = [
        _of_rule(rule, int(count), (one for one in listed if one.get("rule") == rule)) for rule, count in counts.items()
    ]
    return sorted(found, key=lambda one: (one.severity != "error", -one.count, one.rule))


def _of_rule(rule: str, count: int, listed: Iterable[Mapping[str, Any]]) -> RuleFindings:
    found = list(listed)
    examples = tuple(
        Example(int(one.get("row") or 0), *(str(one.get(name, "")) for name in ("column", "value", "message")))
        for one in found[:EXAMPLES]
    )
    return RuleFindings(rule, str(found[0].get("severity", "warning")) if found else "warning", count, examples)
