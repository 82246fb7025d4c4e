"""Planning a load: once, and again where the ledger has changed since; then the guards, and who approved it."""

import logging
from datetime import UTC, datetime

from optimove_provider.contract.wire.errors import Disagreement
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.plan.guards import Guards
from optimove_provider.loads.plan.guards import check as check_guards
from optimove_provider.loads.plan.plan import Plan, PlanInput
from optimove_provider.loads.plan.planner import make_plan
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal, LoadState

log = logging.getLogger(__name__)


def is_committed(course: LoadState, manifest: Manifest, load_id: str) -> bool:
    """Whether the plan of an earlier try was carried out, even if that try did not live to say so."""
    return course.committed or (bool(course.plan) and manifest.has_applied(load_id, course.plan["version"]))


def still_holds(course: LoadState, manifest: Manifest, load_id: str) -> bool:
    """Whether there is a plan of an earlier try that was carried out, or still can be."""
    if is_committed(course, manifest, load_id):
        return True
    return bool(course.plan) and manifest.is_base_of(load_id, course.plan["version"])


def plan_or_reuse(
    ledger: Ledger, journal: Journal, frozen: PlanInput, report: Report, guards: Guards, expected_plan: str | None
) -> Plan:
    """The plan of an earlier try where it still holds, otherwise a new one; the report has its numbers.

    Raises Disagreement for another plan than the expected one, GuardStopped, and what planning raises.
    """
    course, manifest = journal.course, ledger.read()
    course.committed = done = is_committed(course, manifest, frozen.load_id)
    if still_holds(course, manifest, frozen.load_id):
        plan = Plan.from_json(course.plan)
    else:
        course.plans += 1
        plan = make_plan(ledger, frozen, f"{journal.folder}/plan-{course.plans}", datetime.now(UTC))
        journal.planned(plan.as_json())
    report.tell_plan(plan)
    if expected_plan and plan.digest != expected_plan:
        raise Disagreement(
            f"the plan is {plan.digest} now, not {expected_plan}: {report.plan_sentence}. The source or the target "
            "changed since it was made; make a new plan, and have it approved"
        )
    log.info("plan %s: %s", plan.digest, report.plan_sentence)
    if not done:
        check_guards(plan, manifest, guards)
    return plan
