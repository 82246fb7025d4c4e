"""Planning a load: once, and again where the ledger has changed since; then the guards, and who approved it."""

import logging

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import Disagreement
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Manifest, PlanRef
from optimove_provider.loads.plan.guards import check as check_guards
from optimove_provider.loads.plan.guards import removed
from optimove_provider.loads.plan.plan import Plan, PlanInput
from optimove_provider.loads.plan.planner import make_plan
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.options import Guards

log = logging.getLogger(__name__)

_LOOKS = 5
"""How often a dry run plans again because others commit meanwhile, and then once more."""


class PlanChanged(Disagreement):
    """The plan is another one than the one that was approved."""

    then = NextStep.APPROVE_AGAIN


def is_committed(journal: Journal, manifest: Manifest) -> bool:
    """Whether the plan of an earlier try was carried out, even if that try did not live to say so."""
    is_applied = bool(journal.plan) and manifest.has_applied(_ref(journal))
    return journal.stage is Stage.COMMITTED or is_applied


def still_holds(journal: Journal, manifest: Manifest) -> bool:
    """Whether there is a plan of an earlier try that was carried out, or still can be."""
    if is_committed(journal, manifest):
        return True
    return bool(journal.plan) and manifest.is_base_of(_ref(journal))


def _ref(journal: Journal) -> PlanRef:
    return PlanRef(journal.load_id, journal.plan["planned_against"])


def _planned(ledger: Ledger, load: PlanInput, journal: Journal) -> Plan:
    """A new plan. A dry run has no lease: where a load ends meanwhile, and takes its files along, it looks again."""
    for _ in range(_LOOKS):
        seen = ledger.read()
        try:
            return make_plan(ledger, load, journal.begin_planning(), ledger.staging.surroundings.now())
        except Exception:  # who reads files says in its own way that one is not there
            now = ledger.read()
            if (now.version, now.layers) == (seen.version, seen.layers):
                raise
            log.info("the ledger has changed while it was read; planning again")
    return make_plan(ledger, load, journal.begin_planning(), ledger.staging.surroundings.now())


def plan_or_reuse(
    ledger: Ledger, journal: Journal, load: PlanInput, report: Report, guards: Guards, expected_plan: str | None
) -> Plan:
    """The plan of an earlier try where it still holds, otherwise a new one; the report has its numbers.

    Raises Disagreement for another plan than the expected one, GuardStopped, and what planning raises.
    """
    manifest = ledger.read()
    if done := is_committed(journal, manifest):
        journal.committed()
    if still_holds(journal, manifest):
        plan = Plan.from_json(journal.plan)
    else:
        plan = _planned(ledger, load, journal)
        journal.planned(plan.as_json())
    report.tell_plan(plan)
    if expected_plan and plan.digest != expected_plan:
        raise PlanChanged(
            f"the plan is {plan.digest} now, not {expected_plan}: {report.plan_sentence}. The source or the target "
            "changed since it was made; make a new plan, and have it approved"
        )
    log.info("plan %s: %s", plan.digest, report.plan_sentence)
    if not done:
        check_guards(plan, manifest, guards)
    if not plan.load.expires:
        for told in removed(plan, guards):
            report.note(f"{told}: they are reported, not made to expire")
    return plan
